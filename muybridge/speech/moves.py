"""The camera moves that a prompt asks for, in seven languages: which, and from when to when."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from muybridge.request import Beat, Request
from muybridge.speech.script import parse_script, without_quotes

STILL = 0.04  # shares of a clip before and after a move that has no times of its own

_CAMERA = r"(?:camera|shot|view|lens)\b[^.;,]{0,24}?\b"
_SWUNG = rf"(?:\bpan(?:s|ning)?\b(?: slowly| gently| smoothly)? |{_CAMERA}(?:swings|moves|turns|slides|trucks) )"
_LOOKS = r"(?:camera|shot|view|lens) (?:\w+ly )?looks"  # next to it: a person may look up meanwhile
_TO = r"(?:to the |to |going |towards? the )?"
_ROUND = r"(?:\borbit(?:s|ing)?\b|\bcircl(?:es|ing)\b)[^.;]{0,30}?"
_CHINESE = r"(?:镜头|鏡頭)[^。，]{0,4}"
_JAPANESE, _KOREAN = r"カメラ[がは]?[^。、]{0,6}", r"카메라[가는]?[^.,]{0,6}"
_GERMAN, _FRENCH = r"Kamera[^.;,]{0,28} ", r"caméra[^.;,]{0,28} "

# English, then Chinese, Japanese, Korean, German, French. Tried in this order: the first that is found counts.
WORDS: dict[str, tuple[str, ...]] = {
    "static": (
        r"locked[- ]off|\bstatic (?:camera|shot)",
        r"(?:camera|shot)\b[^.;,]{0,20}?\b(?:static|still|tripod|not move|fixed)",
        r"固定(?:镜头|鏡頭)|(?:镜头|鏡頭)不[动動]",
        r"カメラは(?:固定|動かない)",
        r"고정된? 카메라|카메라는 고정",
        r"Kamera (?:steht|bleibt) (?:still|fest)",
        r"caméra (?:est |reste )?(?:fixe|immobile)|plan fixe",
    ),
    "pan left": (
        rf"{_SWUNG}{_TO}left\b",
        rf"{_CHINESE}向?左[摇搖移]",
        r"左[へに]パン",
        r"왼쪽으로 (?:팬|패닝|돌)",
        r"schwenkt? (?:\w+ )?nach links",
        r"panoramique[^.;]{0,12} gauche|caméra (?:pivote|glisse|tourne) vers la gauche",
    ),
    "pan right": (
        rf"{_SWUNG}{_TO}right\b",
        rf"{_CHINESE}向?右[摇搖移]",
        r"右[へに]パン",
        r"오른쪽으로 (?:팬|패닝|돌)",
        r"schwenkt? (?:\w+ )?nach rechts",
        r"panoramique[^.;]{0,12} droite|caméra (?:pivote|glisse|tourne) vers la droite",
    ),
    "tilt up": (
        rf"\btilt(?:s|ing)? up(?:wards?)?\b|{_LOOKS} up",
        rf"{_CHINESE}(?:上[摇搖]|向上)",
        rf"{_JAPANESE}上を向|ティルトアップ",
        rf"{_KOREAN}위로|틸트 ?업",
        r"schwenkt? (?:\w+ )?nach oben",
        rf"{_FRENCH}(?:bascule|monte|pivote) vers le haut",
    ),
    "tilt down": (
        rf"\btilt(?:s|ing)? down(?:wards?)?\b|{_LOOKS} down",
        rf"{_CHINESE}(?:下[摇搖]|向下)",
        rf"{_JAPANESE}下を向|ティルトダウン",
        rf"{_KOREAN}아래로|틸트 ?다운",
        r"schwenkt? (?:\w+ )?nach unten",
        rf"{_FRENCH}(?:bascule|descend|pivote) vers le bas",
    ),
    "push in": (
        r"\bpush(?:es|ing)?[- ]in\b|\bdoll(?:y|ies|ying)[- ]in\b|\bzoom(?:s|ing)?[- ]in\b",
        rf"{_CAMERA}(?:moves|comes|gets|glides|creeps|tracks) (?:closer|in\b|nearer|forward)",
        rf"{_CHINESE}(?:推[近进進]|拉近)",
        rf"{_JAPANESE}(?:寄|近づ)|ズームイン",
        rf"{_KOREAN}다가|줌 ?인",
        rf"{_GERMAN}?heran",
        rf"(?:zoom|travelling) avant|{_FRENCH}?(?:s'approche|avance)",
    ),
    "pull out": (
        r"\bpull(?:s|ing)?[- ](?:out|back)\b|\bdoll(?:y|ies|ying)[- ](?:out|back)\b|\bzoom(?:s|ing)?[- ]out\b",
        rf"{_CAMERA}(?:moves|glides|tracks) (?:away|back|out\b)",
        rf"{_CHINESE}(?:拉[远遠开開]|[后後]拉)",
        rf"{_JAPANESE}(?:引|離れ)|ズームアウト",
        rf"{_KOREAN}(?:멀어|물러)|줌 ?아웃",
        rf"{_GERMAN}?(?:zurück|heraus)",
        rf"(?:zoom|travelling) arrière|{_FRENCH}?recule",
    ),
    "orbit left": (
        rf"{_ROUND}\bleft\b",
        rf"{_CHINESE}向?左[环環][绕繞]",
        r"左[へに]回り込",
        r"카메라[^.,]{0,8}왼쪽으로[^.,]{0,8}주위를",
        r"umkreist[^.;]{0,24} links",
        r"tourne autour[^.;]{0,24} gauche",
    ),
    "orbit right": (
        rf"{_ROUND}\bright\b|{_CAMERA}(?:orbits|circles)",
        rf"{_CHINESE}[^。，]{{0,4}}[环環][绕繞]",
        rf"{_JAPANESE}回り込",
        r"카메라[^.,]{0,8}주위를",
        r"Kamera umkreist",
        r"caméra tourne autour",
    ),
    "handheld": (
        r"\bhand-?held\b|shot from the hand\b|\bshaky (?:camera|shot)",
        r"手持(?:镜头|鏡頭|摄影|攝影)",
        r"手持ち(?:カメラ|撮影)",
        r"핸드헬드",
        r"Handkamera",
        r"caméra à l'épaule",
    ),
    "reframe": (r"\brefram(?:e|es|ing)\b|framing opens up",),
}
_FOUND = {name: re.compile("|".join(words), re.IGNORECASE) for name, words in WORDS.items()}


@dataclass(frozen=True)
class Move:
    """One move of the camera, by its name in WORDS, between two times of the clip in seconds."""

    name: str
    start_s: float
    end_s: float


def asked(request: Request) -> tuple[Move, ...]:
    """The moves of a request's prompt and beats."""
    script = parse_script(request.prompt, request.language)
    return moves_of(script.scene, (*request.beats, *script.beats), request.seconds)


def moves_of(scene: str, beats: Sequence[Beat], seconds: float) -> tuple[Move, ...]:
    """The moves of beats at their times, else the first that the scene names, over the whole clip."""
    timed = [(named(beat.text), beat) for beat in beats]
    moves = tuple(Move(name, beat.start_s, beat.end_s) for name, beat in timed if name)
    if moves:
        return moves
    name, rest = named(without_quotes(scene)), STILL * seconds
    return (Move(name, rest, seconds - rest),) if name else ()


def named(text: str) -> str:
    """The move that a text speaks of; empty where there is none, or a camera that stands."""
    found = next((name for name, words in _FOUND.items() if words.search(text)), "static")
    return "" if found == "static" else found
