"""Is a prompt written in a language that tiny knows? By script and by small words; names, quotations and emoji pass.

A wrong refusal is worse than a missed one: only a prompt most of whose letters, or many of whose small words, belong
elsewhere is refused.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from muybridge.errors import InvalidRequest
from muybridge.request import quoted_lines

SUPPORTED = {
    "en": "English", "zh": "Mandarin", "yue": "Cantonese", "ja": "Japanese", "ko": "Korean", "de": "German",
    "fr": "French",
}  # fmt: skip
_KNOWN_SCRIPTS = frozenset(
    ("LATIN", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HALFWIDTH", "HANGUL", "FULLWIDTH", "BOPOMOFO",
     "IDEOGRAPHIC", "MODIFIER", "MASCULINE", "FEMININE", "MICRO")
)  # fmt: skip
_SCRIPT_LANGUAGES = {
    "CYRILLIC": "Russian or another Cyrillic language", "ARABIC": "Arabic", "HEBREW": "Hebrew", "GREEK": "Greek",
    "DEVANAGARI": "Hindi", "THAI": "Thai", "BENGALI": "Bengali", "TAMIL": "Tamil", "GEORGIAN": "Georgian",
    "ARMENIAN": "Armenian",
}  # fmt: skip
_LEAST_LETTERS = 4
_LEAST_WORDS = 3  # small words of another language
_LEAST_SHARE = 0.2  # of the prompt's words
# Small words of languages in Latin letters; a word that two lists share counts for both.
_SMALL: dict[str, str] = {
    "Spanish": "el los las una uno del que y con por para está están es su sus al como más pero hay desde hacia "
    "mientras "
    "sobre muy este esta ella él dice mujer hombre niño niña perro gato camina corre la de en un se lo a no",
    "Italian": "il gli una uno della dello delle degli dei del che di e con per è sono nel nella sul sulla al "
    "alla mentre "
    "verso molto questo questa lei lui dice donna uomo cane gatto cammina corre la un in da lo si non ed i a",
    "Portuguese": "o os as uma um da do das dos na no nas nos que e com por para está estão é seu sua ao à mais mas "
    "muito este esta ela ele diz mulher homem cachorro gato caminha corre em de se não a",
    "Dutch": "een het de van op met voor naar zijn haar ze hij zegt vrouw jongen meisje hond kat loopt staat aan bij "
    "door niet maar ook terwijl onder tegen deze dit er dat die is in en om te uit",
    "Polish": "i w z na do się jest nie to że jak po ale przez który która kobieta mężczyzna mówi pies kot idzie stoi "
    "jej jego przy pod nad oraz",
    "Swedish": "och en ett är på med för som av till den det inte han hon säger kvinna hund katt går står i att från "
    "under över vid sig sin där",
    "Danish or Norwegian": "og en et er på med for som av til den det ikke han hun siger sier kvinde kvinne hund katt "
    "går står i at fra under over ved sig seg sin der mand mann",
    "Turkish": "bir ve bu için ile da de çok kadın adam köpek kedi diyor yürüyor koşuyor olan gibi daha o ne var",
    "Indonesian": "yang di dan dengan untuk dari ini itu pada ke adalah seorang perempuan wanita pria anjing kucing "
    "berjalan berlari berkata dalam sebuah tidak",
    "Vietnamese": "một và của là có trong người cô anh đang với cho không này nói chó mèo đi chạy trên từ được những",
    "Romanian": "un o și în cu pe la de din este sunt care pentru femeie bărbat câine pisică merge aleargă spune nu "
    "mai sau lui ei se",
    "Czech": "a v na se je že s z do pro jako ale po muž žena pes kočka říká jde běží stojí který která není u od",
    "Finnish": "ja on ei se hän joka mies nainen koira kissa kävelee juoksee sanoo että mutta kun niin yksi talon",
    "Hungarian": "a az egy és van nem hogy férfi nő kutya macska megy fut mondja aki ami is de mint meg",
}
_SMALL_HERE = (
    # English
    "the a an of and to in is are was were it its he she they his her their on at with for from by as that this there "
    "who which not but or into over under behind says say while then one two man woman be has have had i you we "
    "my your "
    "de la el no so do die van en las los son "
    # German
    "der die das den dem des ein eine einer einem einen und ist sind war nicht mit auf von zu im in am an als "
    "auch sich "
    "sie er es wir ihr ich du sein seine ihre bei aus nach vor über unter durch für wie sagt mann frau steht geht dann "
    "während noch nur so da um ruft spricht "
    # French
    "le la les un une des du de et est sont dans sur sous avec pour par que qui ne pas il elle ils elles on se sa son "
    "ses leur au aux en ce cette ces mais ou où puis dit homme femme plus très comme vers chez je tu nous vous y à l d "
    "s c qu n j m parle"
)
_WORD = re.compile(r"[^\W\d_]+")


def unsupported_language(text: str) -> str | None:
    """The name of the language that `text` is most probably written in, if it is none of the seven; else None."""
    text = _without_quotations(unicodedata.normalize("NFC", text))
    letters = [c for c in text if c.isalpha()]
    scripts = [_script(c) for c in letters]
    foreign = [s for s in scripts if s not in _KNOWN_SCRIPTS]
    if len(foreign) >= _LEAST_LETTERS and 2 * len(foreign) > len(letters):
        most = max(set(foreign), key=foreign.count)
        return _SCRIPT_LANGUAGES.get(most, f"a language in {most.title()} script")
    if sum(s == "LATIN" for s in scripts) < len(letters):
        return None  # letters of Asian languages among them: which of those, the script's own reader tells
    return _by_small_words([w.lower() for w in _WORD.findall(text)])


def _without_quotations(text: str) -> str:
    """The text around what it quotes, where that is enough to judge by."""
    around = text
    for line in quoted_lines(text):
        around = around.replace(line.text, " ")
    return around if sum(c.isalpha() for c in around) >= _LEAST_LETTERS else text


def check_language(prompt: str, model: str = "tiny") -> None:
    """Raise InvalidRequest for a prompt in a language that tiny was not trained on; it says what to do."""
    found = unsupported_language(prompt)
    if found is not None:
        raise InvalidRequest(
            f"The prompt {prompt[:60]!r} seems to be written in {found}; {model} understands "
            f"{', '.join(SUPPORTED.values())}. Write it in one of these, or use a provider: --model PROVIDER/MODEL "
            "(`muybridge models`).",
            "prompt",
        )


@cache
def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").split(" ")[0]


@cache
def _lists() -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    here = frozenset(_SMALL_HERE.split())
    return {name: frozenset(words.split()) for name, words in _SMALL.items()}, here


def _by_small_words(words: list[str]) -> str | None:
    """The language whose own small words (those of none of the seven) outnumber the words of the seven."""
    lists, here = _lists()
    best, most = None, 0
    for name, small in lists.items():
        own = {w for w in words if w in small and w not in here}
        count = sum(w in own for w in words)
        # Different words: a name that comes back again and again is one word.
        if len(own) >= _LEAST_WORDS and count > most:
            best, most = name, count
    ours = sum(w in here and not (best and w in lists[best]) for w in words)
    return best if best and most > ours and most >= _LEAST_SHARE * len(words) else None
