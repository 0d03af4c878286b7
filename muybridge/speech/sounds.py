"""What sounds in a scene besides voices, in seven languages: which of the known sounds, and during which beat."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from muybridge.request import Beat, Request
from muybridge.speech.script import parse_script, without_quotes

# English, then Chinese and Cantonese, Japanese, Korean, German, French.
WORDS: dict[str, tuple[str, ...]] = {
    "horse": (
        r"\bgallop|\bhoofbeats?\b"
        r"|\bhorses?\b[^.;]{0,24}\b(?:runs?|running|races?|racing|canters?|trots?|charges?)\b",
        r"[飞飛]奔的[马馬]|[马馬][^，。]{0,4}奔|跑[緊着]嘅馬|[马馬]蹄",
        r"駆ける馬|馬が[^、。]{0,6}(?:駆|走)|蹄",
        r"질주하는 말|말이[^.,]{0,8}(?:달|질주)|말발굽",
        r"galoppier|\bhuf(?:e|schlag)|\bpferd[^.;]{0,20}\b(?:rennt|läuft|jagt)",
        r"\bgalop|\bsabots\b",
    ),
    "ball": (
        r"\bball\b[^.;]{0,30}\b(?:bounc|hops)|\bbouncing\b[^.;]{0,24}\bball|\bdribbl",
        r"[弹彈][跳緊着][^，。]{0,3}[球波]|[球波][^，。]{0,6}[弹彈]",
        r"弾むボール|ボールが[^、。]{0,6}(?:弾|はず)",
        r"튀는 공|공이[^.,]{0,8}튀",
        r"\b(?:hüpfend|springend)\w* ball|\bball[^.;]{0,20}(?:hüpft|springt|prallt)",
        r"\b(?:ballon|balle)[^.;]{0,20}rebondi",
    ),
    "bell": (
        r"\bbells?\b[^.;]{0,30}\b(?:rings?|ringing|tolls?|tolling|chimes?|chiming|swings)\b"
        r"|\b(?:ringing|tolling)\b[^.;]{0,16}\bbell",
        r"敲[响響]的[钟鐘]|[钟鐘鈴铃][^，。]{0,4}[响響]|[响響][緊着]嘅[鐘鈴]",
        r"鳴る鐘|鐘が[^、。]{0,6}鳴|ベルが[^、。]{0,6}鳴",
        r"울리는 종|종이[^.,]{0,8}울|종소리",
        r"läutende glocke|\bglocken?[^.;]{0,20}(?:läute|klingt|schlägt)",
        r"\bcloches?[^.;]{0,20}(?:sonne|tinte|carillonne)",
    ),
    "metronome": (r"\bmetronome", r"[节節]拍器|拍子機", r"メトロノーム", r"메트로놈", r"\bmetronom", r"\bmétronome"),
    "drum": (
        r"\bdrums?\b[^.;]{0,30}\b(?:struck|beat|beaten|beats|played|plays|rolls?)"
        r"|\b(?:beats?|beating|strikes?|hits?|plays?)\b"
        r"[^.;]{0,20}\bdrums?\b|\bdrumbeat|\bdrumm",
        r"敲打的鼓|打[緊着]嘅鼓|[敲打][^，。]{0,3}鼓|鼓[声聲]",
        r"叩かれる太鼓|太鼓を[^、。]{0,4}(?:叩|打)",
        r"두드리는 북|북을[^.,]{0,6}(?:두드|치)|북소리",
        r"geschlagene trommel|\btrommel[tn]",
        r"\btambour",
    ),
    "fire": (
        r"\bcamp ?fire|\bfireplace|\bbonfire"
        r"|\bfire\b[^.;]{0,20}\b(?:crackl|burns?|burning|roar)|\bcrackling fire|\bflames\b",
        r"篝火|[营營]火|[壁火][炉爐]|火[焰堆]",
        r"焚き火|暖炉|たき火",
        r"모닥불|벽난로|장작불",
        r"lagerfeuer|\bkamin|\bfeuer[^.;]{0,16}(?:knistert|brennt|prasselt)",
        r"feu de camp|\bcheminée|\bfeu[^.;]{0,16}crépit",
    ),
    "car": (
        r"\bcars?\b[^.;]{0,30}\b(?:drives?|passe?s|passing|races|speeds|rushes|zooms|goes by)\b"
        r"|\bpassing car|\bengine roars",
        r"[驶駛][过過]的汽[车車]|汽?[车車][^，。]{0,4}[驶駛经經][过過]|[经經][过過]嘅[车車]",
        r"通り過ぎる車|車が[^、。]{0,6}(?:通り過|走)",
        r"지나가는 (?:자동)?차|차가[^.,]{0,8}지나",
        r"vorbeifahrend|\bauto[^.;]{0,20}(?:fährt|rast|vorbei)",
        r"\bvoiture[^.;]{0,20}(?:passe|roule|file)",
    ),
    "door": (
        r"\bdoor\b[^.;]{0,30}\b(?:slams?|bangs?|shuts?)\b|\bslams? (?:the|a|his|her) door",
        r"砰[^，。]{0,6}[门門]|[门門][^，。]{0,6}砰|嘭一聲",
        r"バタンと|ドアが[^、。]{0,6}閉ま",
        r"쾅 닫히|문이[^.,]{0,8}(?:쾅|닫)",
        r"zuschlagende tür|\btür[^.;]{0,16}(?:knallt|schlägt)",
        r"\bporte[^.;]{0,16}claque",
    ),
    "bird": (
        r"\b(?:song)?birds?\b[^.;]{0,24}\b(?:sings?|singing|chirp|tweet|calls?)|\bbirdsong|\bchirping",
        r"[鸟鳥雀][^，。]{0,6}(?:[鸣鳴叫]|唱歌)|[鸣鳴]叫的[^，。]{0,3}[鸟鳥]|唱歌嘅雀",
        r"鳴く小?鳥|鳥が[^、。]{0,6}(?:鳴|さえず)|さえずり",
        r"지저귀",
        r"zwitscher|\bvogel[^.;]{0,16}singt|\bvogelgesang",
        r"\boiseaux?[^.;]{0,16}chant|gazouill",
    ),
    "waves": (
        r"\bwaves\b[^.;]{0,20}\b(?:break|roll|crash|wash|lap|hit|come)"
        r"|\bcrashing waves|\bsurf\b|\b(?:sea|ocean) waves|\bsound of the sea",
        r"海浪|浪[花潮涛濤]|波[浪涛濤]",
        r"寄せる波|波が[^、。]{0,6}(?:寄|打|砕)|波の音",
        r"파도",
        r"\bwellen (?:brechen|rollen|schlagen)|\bbrandung",
        r"\bvagues\b|\bressac",
    ),
    "rain": (
        r"\brain(?:s|ing|y|fall|drops)?\b|\bdownpour|\bdrizzl",
        r"[下落]着?緊?雨|[大暴]雨|雨[中水声聲]",
        r"雨が|雨の|大雨",
        r"비가|빗소리|빗속",
        r"\bregen|\bregnet|\bregnerisch",
        r"\bpluie|\bpleut|\bpluvieux",
    ),
    "wind": (
        r"\bwind (?:howls?|blows?|howling|blowing)|\bwindy\b|\bgusts\b|\bhowling wind",
        r"[狂大]?[风風](?:声|聲|吹|呼[啸嘯])|[刮颳]着?[风風]",
        r"風が(?:吹|強)|風の音",
        r"바람이|바람 소리",
        r"\bwind (?:weht|heult|pfeift)|\bwindig",
        r"\bvent (?:souffle|hurle)|\bventeux",
    ),
}
_FOUND = {kind: re.compile("|".join(words), re.IGNORECASE) for kind, words in WORDS.items()}
_UNHEARD = re.compile(r"\bno (?:rain|wind|sound)|\bsilent(?:ly)?\b|\bwithout (?:a )?sound", re.IGNORECASE)


@dataclass(frozen=True)
class Sound:
    """Something of WORDS that sounds from `start_s` to `end_s`."""

    kind: str
    start_s: float
    end_s: float


def asked(request: Request) -> tuple[Sound, ...]:
    """What a request's prompt and beats let sound: what a beat names during it, the rest all along."""
    script = parse_script(request.prompt, request.language)
    return sounds_of(script.scene, (*request.beats, *script.beats), request.seconds)


def sounds_of(scene: str, beats: Sequence[Beat], seconds: float) -> tuple[Sound, ...]:
    """What beats name during them, and what the scene alone names all along."""
    timed = [Sound(kind, max(b.start_s, 0.0), min(b.end_s, seconds)) for b in beats for kind in named(b.text)]
    told = {sound.kind for sound in timed}  # a scene's text may hold its beats
    lasting = (Sound(kind, 0.0, seconds) for kind in named(scene) if kind not in told)
    return (*lasting, *(sound for sound in timed if sound.end_s > sound.start_s))


def named(text: str) -> tuple[str, ...]:
    """The kinds that a text speaks of, outside of what is said."""
    heard = _UNHEARD.sub(" ", without_quotes(text))
    return tuple(kind for kind, words in _FOUND.items() if words.search(heard))
