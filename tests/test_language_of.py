"""Prompts in other languages are refused; prompts in the seven never are, whatever names and signs they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from muybridge.errors import InvalidRequest
from muybridge.speech.language_of import SUPPORTED, check_language, unsupported_language

ELSEWHERE = [
    "Женщина стоит на улице и говорит в камеру.",
    "رجل يركض في الشارع تحت المطر",
    "एक औरत समुद्र के किनारे खड़ी है",
    "ผู้หญิงคนหนึ่งยืนอยู่ที่ชายหาด",
    "Μια γυναίκα περπατά στην παραλία",
    "אישה הולכת ברחוב",
    'Una mujer con pelo rojo está en la playa y dice: "Buenos días"',
    "Una donna con i capelli rossi è sulla spiaggia e dice: «Buongiorno»",
    "Uma mulher de cabelo ruivo está na praia e diz bom dia para a câmera",
    "Een vrouw met rood haar staat op het strand en zegt goedemorgen",
    "Kobieta o rudych włosach stoi na plaży i mówi, że jest ładnie",
    "En kvinna med rött hår står på stranden och säger god morgon till kameran",
    "Kızıl saçlı bir kadın sahilde duruyor ve günaydın diyor, bu çok güzel bir gün",
    "Seorang wanita berambut merah berdiri di pantai dan berkata selamat pagi",
    "Một người phụ nữ tóc đỏ đang đứng trên bãi biển và nói chào buổi sáng",
]
HERE = [
    "A horse runs",
    "Señor Muñoz and Señora Peña dance in São Paulo; El Niño, La Niña, Los Angeles, Las Vegas, Rio de Janeiro",
    "Dvořák, Łódź, Škoda, Ångström and Erdoğan meet Nguyễn Văn Minh",
    'A man in Москва reads a sign: "Добро пожаловать" 🎉🎉',
    "🐎🐎🐎",
    "!!! 12:30 ???",
    'Pasta al pesto on a table in a trattoria, one waiter says "Ciao!"',
    "α and β waves on a screen, Δt = 3",
    "Eine Frau sagt: „Привет“, dann lacht sie.",
    "Un homme de Lisbonne dit « Obrigado » à la caméra",
    "女人在海边说：“Hello, Señora!”",
    '한 여자가 말한다: "Guten Morgen"',
    "女性が「Grazie mille」と言います",
    "呢個人講：「你好」",
    "Ein Mann in Den Haag, von der Seite",
    "van, sofa, in de kitchen",
]


@pytest.mark.parametrize("prompt", ELSEWHERE)
def test_other_languages_are_refused_with_a_remedy(prompt: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        check_language(prompt)
    assert all(name in str(error.value) for name in SUPPORTED.values())
    assert "--model" in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("prompt", HERE)
def test_names_quotations_and_signs_pass(prompt: str) -> None:
    assert unsupported_language(prompt) is None


def test_the_command_refuses_before_loading_and_for_tiny_alone(tmp_path: Path) -> None:
    from muybridge.engine.command import check_prompt, make_clip
    from muybridge.request import Request

    request = Request("Una mujer con pelo rojo está en la playa y dice hola")
    with pytest.raises(InvalidRequest, match="Spanish"):
        make_clip(request, "tiny", tmp_path / "clip.mp4", {}, quiet=True)
    check_prompt(request, "15b")


def test_nothing_that_the_world_says_is_refused() -> None:
    pytest.importorskip("scipy")
    from muybridge.world import captions
    from muybridge.world.grammar import sample_scene
    from muybridge.world.sentences import sentence

    for index in range(120):
        for language in SUPPORTED:
            said = sentence(index, "test", language)
            assert unsupported_language(said) is None, said
    for seed in range(40):
        scene = sample_scene(seed, "test")
        for language in SUPPORTED:
            for text in (captions.prompt(scene, language), captions.caption(scene, seed, "test")):
                assert unsupported_language(text) is None, text
