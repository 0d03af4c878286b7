"""Builds the letter tables of `muybridge.speech.letters` for en, de, fr and prints how well they generalise.

    python bench/build_pronunciations.py en words.txt [muybridge/speech/data/letters_en.txt.gz]

The words come from a word list with a free licence (CMUdict's for en, gruut's lexicons, MIT, for de and fr), their
pronunciations from espeak-ng in the symbols of `muybridge.speech.symbols`. Letters are aligned to phonemes by hard EM
(each letter takes 0-4 units), then contexts are grown only where they change the answer.
"""

from __future__ import annotations

import math
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

from espeak_reference import espeak_ipa

from muybridge.speech.letters import context_key, pack_table, spell_out
from muybridge.speech.symbols import to_kokoro

MAX_UNITS = 4
UNIT = re.compile(r"[ˈˌ]*[^ˈˌːʰʲ\u0303][ːʰʲ\u0303]*")
SZ_STEMS = re.findall(
    r"\S+",
    """
    groß größ straß sträß heiß weiß außer außen drauß fuß füß gruß grüß spaß späß süß fließ schließ genieß gieß
    schieß stoß stöß maß mäß saß säß aß äß fraß fräß gaß fleiß schweiß dreiß reiß beiß schmeiß kloß klöß schoß
    schöß bloß blöß büß buß muß ruß soß strauß sträuß äußer preuß meißel geißel scheuß gemäß gefäß gesäß spieß
    sprieß grieß ließ stieß hieß verließ bieß kreiß gleiß verschleiß geheiß mußt floß sproß rieß fußball
    straßenbahn großmutter großvater großstadt hauptstraß
    """,
)
SZ_PREFIXES = [
    "",
    *re.findall(
        r"\S+",
        """
    ab an auf aus be bei ein er ent ge ver vor zer zu über unter um an- haupt bahn riesen regel
    """,
    ),
]
SZ_SUFFIXES = [
    "",
    *re.findall(
        r"\S+",
        """
    e en er es em t te ten est st end ende enden ung ungen lich liche lichen ig ige igen ern ert erst
    """,
    ),
]
Costs = dict[str, dict[str, float]]
LENGTH_COST = (1.5, 0.4, 1.8, 3.2, 4.5)


def pronounce(word: str, language: str) -> list[str]:
    """Units of one word said alone: a phone with its stress before and its length or nasality after it."""
    return UNIT.findall(to_kokoro(espeak_ipa(word, language), language).replace(" ", ""))


def plain(units: tuple[str, ...] | list[str]) -> str:
    """The units without stress."""
    return "".join(units).replace("ˈ", "").replace("ˌ", "")


def align(word: str, units: list[str], costs: Costs | None) -> list[str] | None:
    """One string of units for each letter, the cheapest way (Viterbi), or None if there are more units than fit."""
    best: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    for letter in word:
        row: dict[int, tuple[float, int]] = {}
        known = costs.get(letter, {}) if costs else {}
        for end, (cost, _) in best[-1].items():
            for taken in range(min(MAX_UNITS, len(units) - end) + 1):
                label = plain(units[end : end + taken])
                step = LENGTH_COST[taken] if costs is None else known.get(label, 12.0 + 3 * abs(taken - 1))
                total = cost + step
                if end + taken not in row or total < row[end + taken][0]:
                    row[end + taken] = (total, taken)
        best.append(row)
    end, labels = len(units), []
    if end not in best[-1]:
        return None
    for row in reversed(best[1:]):
        taken = row[end][1]
        labels.append("".join(units[end - taken : end]))
        end -= taken
    return labels[::-1]


def learn_costs(pairs: list[tuple[str, list[str]]], rounds: int = 5) -> Costs:
    """-log p(units | letter) by hard EM on a sample."""
    costs: Costs | None = None
    for _ in range(rounds):
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for word, units in pairs:
            for letter, label in zip(word, align(word, units, costs) or (), strict=False):
                counts[letter][plain([label])] += 1
        costs = {
            letter: {label: -math.log(n / sum(c.values())) for label, n in c.items()} for letter, c in counts.items()
        }
    return costs or {}


def grow(items: list[tuple[str, str]], depth: int, inherited: str, table: dict[str, str]) -> None:
    """Adds to `table` the contexts of `items` (full context, label), all alike in their first `depth` characters."""
    counts = Counter(label for _, label in items)
    top, count = counts.most_common(1)[0]
    if top != inherited and count != counts.get(inherited, 0):
        table[items[0][0][:depth]] = inherited = top
    if len(counts) == 1:
        return
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for item in items:
        if len(item[0]) > depth:
            groups[item[0][depth]].append(item)
    for group in groups.values():
        grow(group, depth + 1, inherited, table)


def build(pairs: list[tuple[str, list[str]]], costs: Costs) -> dict[str, str]:
    """The table of all `pairs`."""
    by_letter: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for word, units in pairs:
        for i, label in enumerate(align(word, units, costs) or ()):
            by_letter[word[i]].append((context_key(word, i), label))
    table: dict[str, str] = {}
    for items in by_letter.values():
        grow(items, 1, "\0", table)
    return table


def edits(a: list[str], b: list[str]) -> int:
    """Levenshtein distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


def main() -> None:
    """Reads words, pronounces, aligns, checks on every 50th word, builds on all, writes."""
    language, source = sys.argv[1:3]
    words = {unicodedata.normalize("NFC", w.strip().lower()) for w in Path(source).read_text().splitlines()}
    if language == "de":  # the list has no word with ß
        words |= {p + stem + s for p in SZ_PREFIXES for stem in SZ_STEMS for s in SZ_SUFFIXES}
    keep = re.compile(r"[^\W\d_]([^\W\d_]|['’])*")
    pairs = [(w, pronounce(w, language)) for w in sorted(words) if keep.fullmatch(w) and len(w) < 40]
    costs = learn_costs(pairs[:: max(1, len(pairs) // 12_000)])
    held = pairs[::50]
    table = build([p for i, p in enumerate(pairs) if i % 50], costs)
    wrong = total = bad_words = stressless = 0
    for word, units in held:
        guess = UNIT.findall(spell_out(word, table))
        wrong += edits([plain([u]) for u in guess], [plain([u]) for u in units])
        stressless += edits(guess, units)
        total += len(units)
        bad_words += guess != units
    print(
        f"{language}: {len(pairs)} words; unseen words: phone error {wrong / total:.3f}, with stress "
        f"{stressless / total:.3f}, word error {bad_words / len(held):.3f}"
    )
    table = build(pairs, costs)
    lost = sum(spell_out(w, table) != "".join(u) for w, u in pairs)
    packed = pack_table(table)
    print(f"{language}: {len(table)} contexts, {len(packed)} bytes; {lost} words of the list not exact")
    if len(sys.argv) > 3:
        Path(sys.argv[3]).write_bytes(packed)


if __name__ == "__main__":
    main()
