"""Written text as it is read aloud: numbers, times, money, units, abbreviations and initials become words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from muybridge.speech.cardinals import cardinal, digits, korean_native, ordinal, year

_SPACED = frozenset(("en", "de", "fr", "ko"))
_POINT = {"en": "point", "de": "Komma", "fr": "virgule", "zh": "点", "yue": "點", "ja": "点", "ko": "점"}
_TO = {"en": "to", "de": "bis", "fr": "à", "zh": "到", "yue": "到", "ja": "から", "ko": "에서"}
_AND = {"en": "and", "de": "und", "fr": "et", "zh": "和", "yue": "同", "ja": "と", "ko": "그리고"}
_PERCENT = {"en": "percent", "de": "Prozent", "fr": "pour cent", "ja": "パーセント", "ko": "퍼센트"}
_DEGREES = {"en": "degrees", "de": "Grad", "fr": "degrés", "zh": "度", "yue": "度", "ja": "度", "ko": "도"}
# symbol -> (one, many, hundredth) per language; East Asian languages say the number as a decimal
_MONEY: dict[str, dict[str, tuple[str, str, str]]] = {
    "$": {
        "en": ("dollar", "dollars", "cents"), "de": ("Dollar", "Dollar", "Cent"), "fr": ("dollar", "dollars", "cents"),
        "zh": ("美元",) * 3, "yue": ("美元",) * 3, "ja": ("ドル",) * 3, "ko": ("달러",) * 3,
    },
    "€": {
        "en": ("euro", "euros", "cents"), "de": ("Euro", "Euro", "Cent"), "fr": ("euro", "euros", "centimes"),
        "zh": ("欧元",) * 3, "yue": ("歐元",) * 3, "ja": ("ユーロ",) * 3, "ko": ("유로",) * 3,
    },
    "£": {
        "en": ("pound", "pounds", "pence"), "de": ("Pfund", "Pfund", "Pence"), "fr": ("livre", "livres", "pence"),
        "zh": ("英镑",) * 3, "yue": ("英鎊",) * 3, "ja": ("ポンド",) * 3, "ko": ("파운드",) * 3,
    },
    "¥": {
        "en": ("yen", "yen", "sen"), "de": ("Yen", "Yen", "Sen"), "fr": ("yen", "yens", "sen"),
        "zh": ("元",) * 3, "yue": ("蚊",) * 3, "ja": ("円",) * 3, "ko": ("엔",) * 3,
    },
    "₩": {
        "en": ("won", "won", "jeon"), "de": ("Won", "Won", "Jeon"), "fr": ("won", "wons", "jeon"),
        "zh": ("韩元",) * 3, "yue": ("韓圜",) * 3, "ja": ("ウォン",) * 3, "ko": ("원",) * 3,
    },
}  # fmt: skip
_UNITS: dict[str, dict[str, str]] = {
    "en": {"km/h": "kilometers per hour", "km": "kilometers", "cm": "centimeters", "mm": "millimeters", "m": "meters",
           "kg": "kilograms", "g": "grams", "mph": "miles per hour", "ml": "milliliters", "l": "liters"},
    "de": {"km/h": "Kilometer pro Stunde", "km": "Kilometer", "cm": "Zentimeter", "mm": "Millimeter", "m": "Meter",
           "kg": "Kilogramm", "g": "Gramm", "ml": "Milliliter", "l": "Liter"},
    "fr": {"km/h": "kilomètres heure", "km": "kilomètres", "cm": "centimètres", "mm": "millimètres", "m": "mètres",
           "kg": "kilos", "g": "grammes", "ml": "millilitres", "l": "litres"},
    "zh": {"km": "公里", "cm": "厘米", "m": "米", "kg": "公斤", "g": "克", "ml": "毫升", "l": "升"},
    "yue": {"km": "公里", "cm": "厘米", "m": "米", "kg": "公斤", "g": "克", "ml": "毫升", "l": "升"},
    "ja": {"km": "キロ", "cm": "センチ", "m": "メートル", "kg": "キロ", "g": "グラム", "ml": "ミリリットル",
           "l": "リットル"},
    "ko": {"km": "킬로미터", "cm": "센티미터", "m": "미터", "kg": "킬로그램", "g": "그램", "ml": "밀리리터",
           "l": "리터"},
}  # fmt: skip
_ABBREVIATIONS: dict[str, dict[str, str]] = {
    "en": {"Mr.": "Mister", "Mrs.": "Missus", "Ms.": "Miz", "Dr.": "Doctor", "Prof.": "Professor", "St.": "Saint",
           "Jr.": "Junior", "Sr.": "Senior", "vs.": "versus", "etc.": "et cetera", "e.g.": "for example",
           "i.e.": "that is", "approx.": "approximately", "No.": "Number", "Mt.": "Mount", "OK": "okay",
           "a.m.": "ay em", "p.m.": "pee em", "w/": "with"},
    "de": {"z. B.": "zum Beispiel", "z.B.": "zum Beispiel", "d. h.": "das heißt", "d.h.": "das heißt",
           "u. a.": "unter anderem", "u.a.": "unter anderem", "usw.": "und so weiter", "bzw.": "beziehungsweise",
           "ca.": "zirka", "Dr.": "Doktor", "Prof.": "Professor", "Hr.": "Herr", "Fr.": "Frau", "Nr.": "Nummer",
           "Str.": "Straße", "vgl.": "vergleiche", "evtl.": "eventuell", "inkl.": "inklusive", "St.": "Sankt"},
    "fr": {"p. ex.": "par exemple", "p.ex.": "par exemple", "M.": "Monsieur", "Mme": "Madame", "Mlle": "Mademoiselle",
           "Dr": "Docteur", "etc.": "et cetera", "n°": "numéro", "c.-à-d.": "c'est-à-dire", "St": "Saint",
           "Ste": "Sainte", "av.": "avenue", "env.": "environ", "MM.": "Messieurs"},
}  # fmt: skip
_ENDING = frozenset(("etc.", "usw.", "a.m.", "p.m.", "Jr.", "Sr."))  # these often end a sentence too
_LETTERS: dict[str, list[str]] = {
    "en": [
        "ay",
        "bee",
        "see",
        "dee",
        "ee",
        "eff",
        "gee",
        "aitch",
        "eye",
        "jay",
        "kay",
        "ell",
        "em",
        "en",
        "oh",
        "pee",
        "cue",
        "are",
        "ess",
        "tee",
        "you",
        "vee",
        "double-you",
        "ex",
        "why",
        "zee",
    ],
    "de": [
        "ah",
        "beh",
        "zeh",
        "deh",
        "eh",
        "eff",
        "geh",
        "hah",
        "ih",
        "jott",
        "kah",
        "ell",
        "emm",
        "enn",
        "oh",
        "peh",
        "kuh",
        "err",
        "ess",
        "teh",
        "uh",
        "vau",
        "weh",
        "iks",
        "üpsilon",
        "zett",
    ],
    "fr": [
        "a",
        "bé",
        "cé",
        "dé",
        "e",
        "effe",
        "gé",
        "ache",
        "i",
        "ji",
        "ka",
        "elle",
        "emme",
        "enne",
        "o",
        "pé",
        "ku",
        "erre",
        "esse",
        "té",
        "u",
        "vé",
        "double-vé",
        "ixe",
        "i-grec",
        "zède",
    ],
}
# Korean counters that take native numerals; 분, 초, 년, 월, 일, 원 and units take Sino-Korean.
_KO_COUNTERS = "시간|시|살|명|개|마리|번째|번|잔|권|병|달|대|장|사람|가지|곳|벌|송이|그루|켤레|분이|배"
_NUMBER = r"(?<![A-Za-z\d.,])-?\d[\d.,]*"


def read_out(text: str, language: str) -> str:
    """`text` with everything that is not words written out as words of `language`, spaces tidied.

    >>> read_out("Dr. Lee paid $5.20 at 9:30.", "en")
    'Doctor Lee paid five dollars twenty at nine thirty.'
    """
    text = unicodedata.normalize("NFC", text).replace("\u00a0", " ").replace("\u202f", " ").replace("’", "'")
    text = text.translate(_WIDE)
    text = _abbreviations(text, language)
    for rule in _RULES:
        text = rule(text, language)
    if language in _LETTERS:
        text = _initials(text, language)
    text = text.replace("&", f" {_AND[language]} ").replace("%", " ").replace("°", " ")
    return re.sub(r"\s+", " ", text).strip()


def abbreviations(language: str) -> frozenset[str]:
    """The last words of the abbreviations whose full stop ends no sentence."""
    return frozenset(short.split()[-1] for short in _ABBREVIATIONS.get(language, {}) if short not in _ENDING)


def _abbreviations(text: str, language: str) -> str:
    for short, full in _ABBREVIATIONS.get(language, {}).items():
        end = "" if short[-1] in "./°" else r"(?!\w)"
        text = re.sub(r"(?<![\w.])" + re.escape(short) + end, full + (" " if short.endswith("°") else ""), text)
    return text


def _say(number: str, language: str) -> str:
    """A written number, decimals and grouping marks as the language uses them, in words."""
    comma_is_decimal = language in ("de", "fr")
    group, point = (".", ",") if comma_is_decimal else (",", ".")
    sign, number = ("-", number[1:]) if number.startswith("-") else ("", number)
    number = number.rstrip(".,")
    if re.fullmatch(rf"\d{{1,3}}(\{group}\d{{3}})+(\{point}\d+)?", number):
        number = number.replace(group, "")
    whole, _, decimals = number.replace(",", ".").partition(".")
    if "." in decimals or (len(whole) > 1 and whole.startswith("0") and not decimals):
        return digits(re.sub(r"\D", "", number), language)
    words = cardinal(int(sign + whole), language) if int(whole) or not sign else "minus " + cardinal(0, language)
    if decimals:
        space = " " if language in _SPACED else ""
        words += f"{space}{_POINT[language]}{space}{digits(decimals, language)}"
    return words


def _money(text: str, language: str) -> str:
    def said(amount: str, symbol: str) -> str:
        one, many, hundredth = _MONEY["¥" if symbol == "￥" else symbol][language]
        if language not in ("en", "de", "fr"):
            return _say(amount, language) + (" " if language == "ko" else "") + many
        parts = re.fullmatch(r"(.*?)(?:[.,](\d{1,2}))?", amount)
        assert parts is not None
        whole, cents = int(re.sub(r"\D", "", parts[1])), int((parts[2] or "0").ljust(2, "0"))
        if cents and not whole:
            return f"{cardinal(cents, language)} {hundredth}"
        words = {"de": "ein", "fr": "un"}.get(language, "one") if whole == 1 else cardinal(whole, language)
        words += " " + (one if whole == 1 else many)
        return f"{words} {cardinal(cents, language)}" if cents else words

    amount = r"(\d{1,15}(?:[.,]\d{1,4}){0,6})"
    text = re.sub(r"([$€£¥￥₩])\s?" + amount, lambda m: said(m[2], m[1]), text)
    return re.sub(r"(?<![\d.,])" + amount + r"\s?([$€£¥￥₩])", lambda m: said(m[1], m[2]), text)


def _times(text: str, language: str) -> str:
    def said(m: re.Match[str]) -> str:
        hour, minute = int(m[1]), int(m[2])
        if hour > 24 or minute > 59:
            return m[0]
        return _clock_time(hour, minute, language)

    pattern = r"(?<![\d:.,])(\d{1,2})[:：h](\d{2})(?!\d|[:：]\d)"
    if language == "de":
        return re.sub(r"(?<![\d:.,])(\d{1,2})[:.](\d{2})(?!\d|:\d)\s*Uhr|" + pattern, _german_time, text)
    text = re.sub(pattern, said, text)
    if language == "fr":
        text = re.sub(r"(?<!\w)(\d{1,2})\s?h(?!\w)", lambda m: _clock_time(int(m[1]), 0, "fr"), text)
    return text


def _german_time(m: re.Match[str]) -> str:
    hour, minute = int(m[1] or m[3]), int(m[2] or m[4])
    return m[0] if hour > 24 or minute > 59 else _clock_time(hour, minute, "de")


def _clock_time(hour: int, minute: int, language: str) -> str:
    if language == "ja":
        return f"{hour}時" + (f"{minute}分" if minute else "")  # its reader knows the counters
    hours, minutes = cardinal(hour, language), cardinal(minute, language)
    if language == "en":
        tail = "o'clock" if minute == 0 else f"oh {minutes}" if minute < 10 else minutes
        return f"{hours} {tail}" if hour or minute else "midnight"
    if language == "de":
        return ("ein" if hour == 1 else hours) + " Uhr" + (f" {minutes}" if minute else "")
    if language == "fr":
        start = "une heure" if hour == 1 else f"{hours} heure{'s' if hour > 1 else ''}"
        return start + (f" {minutes}" if minute else "")
    if language == "ko":
        return f"{korean_native(hour) if hour else '영'} 시" + (f" {minutes} 분" if minute else "")
    point = {"zh": "点", "yue": "點"}[language]
    hours = {2: "两" if language == "zh" else "兩"}.get(hour, hours)
    zero = "零" if 0 < minute < 10 else ""
    return f"{hours}{point}" + (f"{zero}{minutes}分" if minute else "")


def _percent(text: str, language: str) -> str:
    if language in ("zh", "yue"):
        return re.sub(r"(\d[\d.,]*)\s?[%％]", lambda m: "百分之" + _say(m[1], language), text)
    word = _PERCENT[language]
    return re.sub(r"(\d)\s?[%％]", rf"\1 {word}" if language in _SPACED else rf"\1{word}", text)


def _degrees(text: str, language: str) -> str:
    space = " " if language in ("en", "de", "fr") else ""
    return re.sub(r"(\d)\s?(?:°\s?[CF]?|℃)", rf"\1{space}{_DEGREES[language]}", text)


def _units(text: str, language: str) -> str:
    names = _UNITS[language]
    pattern = "|".join(re.escape(u) for u in sorted(names, key=len, reverse=True))
    space = " " if language in ("en", "de", "fr") else ""
    return re.sub(rf"(\d)\s?({pattern})(?![\w/])", lambda m: m[1] + space + names[m[2]], text)


def _ranges(text: str, language: str) -> str:
    space = " " if language in _SPACED else ""
    return re.sub(r"(?<=\d)\s?[-–~～]\s?(?=\d+(?![\d-]))", f"{space}{_TO[language]}{space}", text)


def _phone_numbers(text: str, language: str) -> str:
    def said(m: re.Match[str]) -> str:
        groups = (digits(g, language) for g in re.findall(r"\d+", m[0]))
        return ", ".join(groups)

    return re.sub(r"(?<![\w.,])\+?\d{2,4}(?:[- ]\d{2,4}){2,}(?!\w)|(?<![\w.,-])\d{3}-\d{4}(?![\w-])", said, text)


def _ordinals(text: str, language: str) -> str:
    if language == "en":
        return re.sub(r"\b(\d+)(?:st|nd|rd|th)\b", lambda m: ordinal(int(m[1]), "en"), text)
    if language == "fr":
        text = re.sub(r"\b1re\b", "première", text)
        return re.sub(r"\b(\d+)(?:er|e|ème)\b", lambda m: ordinal(int(m[1]), "fr"), text)
    if language == "de":
        return re.sub(r"\b(\d{1,2})\.(?=\s[A-ZÄÖÜ]\w)", lambda m: _german_ordinal(m, text), text)
    return text


def _german_ordinal(m: re.Match[str], text: str) -> str:
    dative = re.search(r"\b(am|vom|zum|beim|dem|im)\s$", text[: m.start()], re.IGNORECASE)
    return ordinal(int(m[1]), "de") + ("n" if dative else "")


def _years(text: str, language: str) -> str:
    if language in ("zh", "yue"):
        return re.sub(r"(?<!\d)(\d{4})(?=\s?年)", lambda m: year(int(m[1]), language), text)
    if language not in ("en", "de"):
        return text
    follows = r"(?![\d.,]*\d)(?!\s?(?:%|dollars|euros|people|meters|kilometers|Menschen|Meter|Euro|Kilometer))"
    return re.sub(r"(?<![\w.,$€£])(1[1-9]\d\d|20\d\d)" + follows, lambda m: year(int(m[1]), language), text)


def _counted(text: str, language: str) -> str:
    if language == "ko":
        text = re.sub(rf"(?<![\d.,])(\d{{1,2}})(?=\s?(?:{_KO_COUNTERS}))", lambda m: korean_native(int(m[1])), text)
        text = re.sub(r"(?<!\d)(6|10)(?=월)", lambda m: {"6": "유", "10": "시"}[m[1]], text)
    if language == "de":
        text = re.sub(r"(?<![\d.,])1(?=\s(?:Uhr|Prozent|Grad|Meter|Kilo))", "ein", text)
    if language in ("zh", "yue"):
        two = "两" if language == "zh" else "兩"
        text = re.sub(r"(?<![\d.,第])2(?=[个個位只隻天次年本张張杯瓶块塊点點條条件人])", two, text)
    return text


def _plain_numbers(text: str, language: str) -> str:
    if language == "ja":  # the Japanese reader says numbers itself and knows how counters change them
        return re.sub(r"(?<=\d),(?=\d{3})", "", text)
    space = " " if language in ("en", "de", "fr") else ""

    def said(m: re.Match[str]) -> str:
        tail = re.search(r"[.,]+$", m[0])
        return _say(m[0], language) + (tail[0] if tail else "")

    text = re.sub(_NUMBER, said, text)

    def rest(m: re.Match[str]) -> str:  # digits glued to letters
        one_by_one = len(m[0]) > 12 or (m[0][0] == "0" and len(m[0]) > 1)
        return space + (digits(m[0], language) if one_by_one else cardinal(int(m[0]), language)) + space

    return re.sub(r"\d+", rest, text)


def _initials(text: str, language: str) -> str:
    """All-capital words of up to three letters, or without a vowel, are spelled; not in a shouted text."""
    words = re.findall(r"[^\W\d_]{2,}", text)
    if sum(w.isupper() for w in words) > max(1, len(words) // 2):
        return text
    names = _LETTERS[language]

    def said(m: re.Match[str]) -> str:
        word = m[0]
        if len(word) > 3 and re.search("[AEIOUÄÖÜ]", word):
            return word
        return " ".join(names[ord(c) - 65] for c in word)

    return re.sub(r"(?<![\w'])[A-Z]{2,5}(?![\w])", said, text)


_WIDE = {0xFF10 + i: 0x30 + i for i in range(10)} | {0xFF0E: 0x2E, 0xFF05: 0x25, 0xFF04: 0x24}
_RULES: tuple[Callable[[str, str], str], ...] = (
    _money, _times, _percent, _degrees, _units, _phone_numbers, _years, _ranges, _ordinals, _counted, _plain_numbers,
)  # fmt: skip
