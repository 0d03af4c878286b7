"""Whole numbers in words, in seven languages. Own rules; numbers of 10^12 and more are read digit by digit."""

from __future__ import annotations

from collections.abc import Callable

LIMIT = 10**12
_EN = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
EN_ONES = (_EN + " seventeen eighteen nineteen").split()
EN_TENS = ["_", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_DE = "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn"
DE_ONES = (_DE + " siebzehn achtzehn neunzehn").split()
DE_TENS = ["_", "zehn", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"]
_FR = "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize"
FR_ONES = (_FR + " dix-sept dix-huit dix-neuf").split()
FR_TENS = [
    "_",
    "dix",
    "vingt",
    "trente",
    "quarante",
    "cinquante",
    "soixante",
    "soixante",
    "quatre-vingt",
    "quatre-vingt",
]
HAN_DIGITS = "零一二三四五六七八九"
KO_DIGITS = "영일이삼사오육칠팔구"
KO_ONES = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
KO_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
EN_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
EN_ORDINALS["twelve"] = "twelfth"


def cardinal(number: int, language: str) -> str:
    """`number` in words; a negative one with the language's minus."""
    if number < 0:
        return MINUS[language] + " " * (language not in _JOINED) + cardinal(-number, language)
    if number >= LIMIT:
        return digits(str(number), language)
    return _CARDINAL[language](number)


def digits(text: str, language: str) -> str:
    """Each digit of `text` by its name."""
    if language in _JOINED:
        names = KO_DIGITS if language == "ko" else HAN_DIGITS
        return "".join(names[int(c)] for c in text)
    names_list = {"en": EN_ONES, "de": DE_ONES, "fr": FR_ONES}[language]
    return " ".join(names_list[int(c)] for c in text)


def ordinal(number: int, language: str) -> str:
    """`number`th in words (en, de, fr; the others use a prefix or suffix)."""
    words = cardinal(number, language)
    if language == "en":
        head, mark, last = words.rpartition("-") if "-" in words.rpartition(" ")[2] else words.rpartition(" ")
        if last.endswith("y"):
            return head + mark + last[:-1] + "ieth"
        return head + mark + EN_ORDINALS.get(last, last + "th")
    if language == "de":
        special = {1: "erste", 3: "dritte", 7: "siebte", 8: "achte"}
        return special.get(number, words + ("te" if 0 < number % 100 < 20 else "ste"))
    if language == "fr":
        if number == 1:
            return "premier"
        if words.endswith("cinq"):
            return words + "uième"
        return (words[:-1] + "v" if words.endswith("neuf") else words.removesuffix("e")) + "ième"
    return {"ko": words + "번째"}.get(language, "第" + words)


def korean_native(number: int) -> str:
    """1-99 in native Korean, the form before a counter (한, 두, 세 ...); Sino-Korean beyond."""
    if not 1 <= number <= 99:
        return _korean(number)
    if number == 20:
        return "스무"
    return KO_TENS[number // 10] + KO_ONES[number % 10]


def year(number: int, language: str) -> str:
    """A year as it is said: nineteen eighty-four, neunzehnhundertvierundachtzig; other languages count."""
    high, low = divmod(number, 100)
    if language == "en" and (1100 <= number < 2000 or 2010 <= number < 2100):
        tail = "hundred" if low == 0 else (f"oh {EN_ONES[low]}" if low < 10 else _english(low))
        return f"{_english(high)} {tail}"
    if language == "de" and 1100 <= number < 2000:
        return f"{_german(high)}hundert{_german(low) if low else ''}"
    if language in ("zh", "yue") and number >= 1000:
        return digits(str(number), language)
    return cardinal(number, language)


def _english(n: int) -> str:
    if n < 20:
        return EN_ONES[n]
    if n < 100:
        return EN_TENS[n // 10] + (f"-{EN_ONES[n % 10]}" if n % 10 else "")
    for size, name in ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if n >= size:
            rest = f" {_english(n % size)}" if n % size else ""
            return f"{_english(n // size)} {name}{rest}"
    raise AssertionError(n)


def _german(n: int) -> str:
    if n < 20:
        return DE_ONES[n]
    if n < 100:
        one = "ein" if n % 10 == 1 else DE_ONES[n % 10]
        return (f"{one}und" if n % 10 else "") + DE_TENS[n // 10]
    for size, name in ((1000, "tausend"), (100, "hundert")):
        if size <= n < size * 1000:
            head, rest = divmod(n, size)
            return ("ein" if head == 1 else _german(head)) + name + (_german(rest) if rest else "")
    size, one_of, many = (10**9, "eine Milliarde", "Milliarden") if n >= 10**9 else (10**6, "eine Million", "Millionen")
    head, rest = divmod(n, size)
    return (one_of if head == 1 else f"{_german(head)} {many}") + (f" {_german(rest)}" if rest else "")


def _french(n: int) -> str:
    if n < 20:
        return FR_ONES[n]
    if n < 100:
        tens, one = divmod(n, 10)
        if tens in (7, 9):
            one += 10
        if n == 80:
            return "quatre-vingts"
        link = " et " if one in (1, 11) and tens < 8 else "-"
        return FR_TENS[tens] + (link + FR_ONES[one] if one else "")
    if n < 1000:
        head, rest = divmod(n, 100)
        start = "cent" if head == 1 else f"{FR_ONES[head]} cent" + ("s" if rest == 0 else "")
        return start + (f" {_french(rest)}" if rest else "")
    if n < 10**6:
        head, rest = divmod(n, 1000)
        return ("mille" if head == 1 else f"{_french(head)} mille") + (f" {_french(rest)}" if rest else "")
    size, name = (10**9, "milliard") if n >= 10**9 else (10**6, "million")
    head, rest = divmod(n, size)
    return f"{_french(head)} {name}{'s' if head > 1 else ''}" + (f" {_french(rest)}" if rest else "")


def _grouped(n: int, names: str, groups: tuple[str, ...], zero: str, leading_one: bool) -> str:
    """East Asian numerals: groups of four digits; `zero` fills gaps; without `leading_one` 10 is ten, not one-ten."""
    if n == 0:
        return names[0]
    parts: list[str] = []
    for power in range(len(groups) - 1, -1, -1):
        group = n // 10 ** (4 * power) % 10000
        if not group:
            continue
        said = ""
        for place in (3, 2, 1, 0):
            digit = group // 10**place % 10
            if digit:
                if said and zero and group // 10 ** (place + 1) % 10 == 0:
                    said += zero
                one = digit == 1 and place > 0 and not leading_one
                said += ("" if one else names[digit]) + ("", "십", "백", "천")[place]
        if parts and zero and group < 1000:
            said = zero + said
        parts.append(said + groups[power])
    return "".join(parts)


def _chinese(n: int, groups: tuple[str, ...] = ("", "万", "亿")) -> str:
    text = _grouped(n, HAN_DIGITS, groups, "零", True).translate(_HAN_UNITS)
    return text[1:] if text.startswith("一十") else text


def _cantonese(n: int) -> str:
    return _chinese(n, ("", "萬", "億"))


def _japanese(n: int) -> str:
    return _grouped(n, HAN_DIGITS, ("", "万", "億"), "", False).translate(_HAN_UNITS)


def _korean(n: int) -> str:
    text = _grouped(n, KO_DIGITS, ("", "만", "억"), "", False)
    return text[1:] if text.startswith("일만") else text


_HAN_UNITS = str.maketrans("십백천", "十百千")
_JOINED = frozenset(("zh", "yue", "ja", "ko"))
_CARDINAL: dict[str, Callable[[int], str]] = {
    "en": _english, "de": _german, "fr": _french, "zh": _chinese, "yue": _cantonese, "ja": _japanese, "ko": _korean,
}  # fmt: skip
MINUS = {"en": "minus", "de": "minus", "fr": "moins", "zh": "负", "yue": "負", "ja": "マイナス", "ko": "마이너스"}
