"""Letters to phonemes for alphabetic languages: one table per language, longest letter context wins.

The table holds, for a letter in its context, the phonemes it stands for. A context is a string: the letter itself,
then its neighbours in the order +1, -1, +2, -2, ... ; only contexts that change the answer are stored (the IGTree of
Daelemans et al. 1997). Every word it was built from comes back exactly; unseen words follow the same contexts.
`bench/build_pronunciations.py` makes the tables.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib import resources

EDGE = "#"  # stands for everything outside the word
REACH = 14  # letters seen to each side; longer contexts never decide a word


def context_key(word: str, index: int) -> str:
    """The context string of letter `index`: itself, then neighbours +1, -1, +2, -2, ... until both edges are in it."""
    letters = [word[index]]
    for step in range(1, REACH + 1):
        after, before = index + step, index - step
        letters.append(word[after] if after < len(word) else EDGE)
        letters.append(word[before] if before >= 0 else EDGE)
        if after >= len(word) and before < 0:
            break
    return "".join(letters)


@cache
def letter_table(language: str) -> dict[str, str]:
    """Context -> phonemes, in Kokoro symbols with stress marks; loaded once per language."""
    packed = resources.files("muybridge.speech").joinpath("data", f"letters_{language}.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode().split("\n")
    labels = lines[0].split("\t")
    table = {}
    key = ""
    for line in lines[1:]:
        if not line:
            continue
        shared, rest = ord(line[0]) - 48, line[1:]  # keys are front-coded: characters kept from the key before
        tail, _, label = rest.partition("\t")
        key = key[:shared] + tail
        table[key] = labels[int(label, 36)]
    return table


def pack_table(table: dict[str, str]) -> bytes:
    """The file form of a table; the inverse of `letter_table`."""
    labels = sorted(set(table.values()), key=lambda label: -sum(1 for v in table.values() if v == label))
    index = {label: _base36(i) for i, label in enumerate(labels)}
    lines = ["\t".join(labels)]
    previous = ""
    for key in sorted(table):
        shared = 0
        while shared < min(len(key), len(previous)) and key[shared] == previous[shared]:
            shared += 1
        lines.append(f"{chr(48 + shared)}{key[shared:]}\t{index[table[key]]}")
        previous = key
    return gzip.compress("\n".join(lines).encode(), 9, mtime=0)


def spell_out(word: str, table: dict[str, str]) -> str:
    """Phonemes of one lower-case word; letters the table has never seen are silent."""
    return "".join(_label(context_key(word, i), table) for i in range(len(word)))


def _label(key: str, table: dict[str, str]) -> str:
    for length in range(len(key), 0, -1):
        found = table.get(key[:length])
        if found is not None:
            return found
    return ""


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while True:
        text = digits[number % 36] + text
        number //= 36
        if number == 0:
            return text
