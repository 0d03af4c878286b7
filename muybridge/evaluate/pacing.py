"""Pacing measured on plans: does manner move the rate, are pauses kept, are given seconds met, is spare time silence.

Rates are articulation rates (vowels a second of speech, pauses left out), the measure that presentations of different
pause lengths can be compared by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from muybridge.errors import UserError
from muybridge.request import Line
from muybridge.speech.durations import Phone, articulation_rate
from muybridge.speech.pacing import PlannedLine, plan_speech
from muybridge.speech.script import Script, parse_script

LEAST_RATIO = 1.15
SPAN_MS = 80.0
PAUSE_S = 0.08  # a shorter gap is no pause

# Prompts that differ in manner alone, as people write them; {} is what is said, in that language.
MANNERS: dict[str, tuple[str, str]] = {
    "en": ('A man explains patiently: "{}"', 'A man shouts over the crowd: "{}"'),
    "zh": ("一个男人耐心地说：“{}”", "一个男人激动地大喊：“{}”"),
    "yue": ("一個男人耐心地講：「{}」", "一個男人激動地大叫：「{}」"),
    "ja": ("男性が静かにゆっくり言う：「{}」", "男性が興奮して叫ぶ：「{}」"),
    "ko": ('남자가 차분하게 말한다: "{}"', '남자가 흥분해서 외친다: "{}"'),
    "de": ("Ein Mann erklärt geduldig: „{}“", "Ein Mann ruft aufgeregt: „{}“"),
    "fr": ("Un homme explique calmement : « {} »", "Un homme crie, excité : « {} »"),
}


@dataclass(frozen=True)
class Pair:
    """One text said calmly and energetically: syllables a second of each."""

    text: str
    calm: float
    energetic: float

    @property
    def ratio(self) -> float:
        """Energetic over calm."""
        return self.energetic / self.calm

    @property
    def is_right(self) -> bool:
        """The right direction, and heard."""
        return self.ratio >= LEAST_RATIO


def pairs(texts: Sequence[str], language: str) -> list[Pair]:
    """Every text in both manners, told by the prompt alone (`MANNERS`)."""
    out = []
    for text in texts:
        calm, energetic = (
            sum(_rates(prompt.format(text), language)) / max(1, len(_rates(prompt.format(text), language)))
            for prompt in MANNERS[language]
        )
        out.append(Pair(text, calm, energetic))
    return out


def _rates(prompt: str, language: str) -> list[float]:
    return [articulation_rate(line.phones) for line in plan_speech(parse_script(prompt, language)).lines]


def planned(text: str, language: str, seconds: float | None = None, **line: float) -> PlannedLine:
    """One line alone, in a clip of `seconds`; `line` may give start_s and end_s."""
    given = Line(text, None, language, None, **line)
    return plan_speech(Script("", lines=(given,)), seconds, language).lines[0]


def pauses(phones: Sequence[Phone]) -> tuple[int, int]:
    """(marks of punctuation inside the line, those at which there is a pause)."""
    marks = [p for p in phones if p.is_pause]
    return len(marks), sum(p.end_s - p.start_s >= PAUSE_S for p in marks)


def span_errors_ms(text: str, language: str, stretches: Sequence[float] = (0.85, 1.0, 1.2, 1.5)) -> list[float]:
    """How far the first and last phone are from a given start and end, for spans around the natural length.

    A span that is refused as too short does not count; it is named with what it needs.
    """
    natural = planned(text, language)
    out = []
    for stretch in stretches:
        end_s = 0.7 + (natural.end_s - natural.start_s) * stretch
        try:
            line = planned(text, language, start_s=0.7, end_s=end_s)
        except UserError:
            continue
        out.append(1000 * max(abs(line.phones[0].start_s - 0.7), abs(line.phones[-1].end_s - end_s)))
    return out


def invariance(text: str, language: str, clips_s: Sequence[float] = (6.0, 8.0, 12.0)) -> float:
    """Largest over smallest articulation rate of one text in clips of different length: spare time must be silence."""
    rates = [articulation_rate(planned(text, language, seconds).phones) for seconds in clips_s]
    return max(rates) / min(rates)
