"""Speech before sound: who says what and when, text to phonemes, phonemes to times. No torch."""
