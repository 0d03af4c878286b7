"""Finds the words that sound weaker in a sentence than alone, espeak-ng being the witness; prints and writes them.

    python bench/build_weak_forms.py en sentences.txt muybridge/speech/data/weak_en.json

A form is taken from clauses where the reference keeps as many words as were written (it joins some function words).
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

from espeak_reference import espeak_ipa

from muybridge.speech.symbols import to_kokoro

# What the counting cannot see: joined pairs ("of the"), liaison heard as part of the word, letters read as names.
BY_HAND = {
    "en": {"for": "fɔːɹ", "from": "fɹʌm", "is": "ɪz", "was": "wʌz", "are": "ɑːɹ", "were": "wɜː", "i": "I"},
    "de": {"durch": "dʊʁç", "ist": "ɪst", "der": "dɛʁ", "die": "diː", "das": "das", "den": "deːn", "to": "tuː"},
    "fr": {
        "y": "i",
        "de": "də",
        "j'": "ʒ",
        "qu'": "k",
        "l'": "l",
        "d'": "d",
        "n'": "n",
        "s'": "s",
        "m'": "m",
        "t'": "t",
    }
    | {"c'": "s", "sont": "sɔ̃", "deux": "dˈø", "to": "tu", "des": "de", "aux": "o", "au": "o", "du": "dy"},
}
# Pronouns, articles, conjunctions: said without stress however they were counted.
UNSTRESSED = {
    "en": "we she he me my you they it him her us them your our their his its and of or but if as at",
    "de": "wir sie er es man mein meine dein sein ihr unser mich dich sich mir dir uns euch ihm wie hat sind wird",
    "fr": "je tu nous on mon ton ma ta sa mes tes ses nos vos leur leurs notre votre cette cet ces me te se ne si où",
}


def main() -> None:
    """Counts, prints, writes."""
    language, source, target = sys.argv[1:4]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in Path(source).read_text().lower().replace("’", "'").split("\n"):
        for clause in re.split(r"[,.;:!?]", sentence):
            words = re.findall(r"[^\W\d_]+(?:['-][^\W\d_]+)*'?", clause)
            if language == "fr":
                words = [q for w in words for q in ([w] if w.startswith("aujourd") else re.findall(r"[^']+'?", w))]
            said = to_kokoro(espeak_ipa(clause, language), language).split()
            if len(words) >= 3 and len(said) == len(words):
                for word, form in list(zip(words, said, strict=True))[:-1]:
                    counts[word][form] += 1
    forms = {}
    for word, seen in counts.items():
        form, n = seen.most_common(1)[0]
        alone = to_kokoro(espeak_ipa(word, language), language).replace(" ", "")
        linked = language == "fr" and form[-1] in "zt" and form[-1] != alone[-1]
        plain = form.replace("ˈ", "").replace("ˌ", "")
        is_reduction = len(plain) <= len(alone) and "?" not in form
        if form != alone and not linked and is_reduction and seen.total() >= 4 and n > 0.55 * seen.total():
            forms[word] = form
    weak = {w: to_kokoro(espeak_ipa(w, language), language).replace("ˈ", "") for w in UNSTRESSED[language].split()}
    forms = {w: f for w, f in forms.items() if len(w) <= 6} | weak | BY_HAND[language]
    print(language, len(forms), " ".join(f"{w}={f}" for w, f in sorted(forms.items())))
    Path(target).write_text(json.dumps(dict(sorted(forms.items())), ensure_ascii=False, indent=0) + "\n")


if __name__ == "__main__":
    main()
