"""Are the words understood? Whisper base writes down held-out sentences, of the model and of the reference voice."""

from __future__ import annotations

import json
import math
import tempfile
import wave
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from muybridge.config import settings
from muybridge.evaluate.words import error_rate
from muybridge.model.codecs import AudioCodec
from muybridge.suites import evaluators, whisper
from muybridge.suites.run import BASE, SHIPPED, Run
from muybridge.suites.table import Row

MIN_SECONDS, MAX_SECONDS = 3.0, 6.0


def evaluate(run: Run) -> list[Row]:
    """Error per language: words (en, de, fr) or characters; and how loud the model speaks beside `TARGET_LUFS`.

    Raises NotInstalled where no recogniser is found.
    """
    from muybridge.world.sound import TARGET_LUFS

    python = evaluators.python_for(whisper.PACKAGES, run.evaluators)
    codec = _audio_codec(run)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        items = [item for language in run.languages for item in _spoken(run, language, codec, folder)]
        heard = transcribe(python, folder, items)
    rows = []
    for language in run.languages:
        errors = {
            who: [
                error_rate(h["said"], h["heard"], language)
                for i, h in heard
                if (i["language"], i["who"]) == (language, who)
            ]
            for who in ("truth", "made")
        }
        bar = (
            "<= 0.15" if language == "en" else "reported only: no recogniser" if language == "yue" else "ceiling + 0.10"
        )
        figure = _mean(errors["made"]) if run.engine else None
        rows.append(Row(f"{language}: error", figure, _mean(errors["truth"]), bar, len(errors["truth"])))
    if run.engine:
        loud = [item["lufs"] for item in items if item["who"] == "made"]
        rows.append(Row("loudness (LUFS)", _mean(loud), TARGET_LUFS, "within 3", len(loud)))
    return rows


def transcribe(python: str, folder: Path, items: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, str]]]:
    """Each item with what was said and heard, by the recogniser's own process."""
    (folder / "list.json").write_text(json.dumps(items))
    heard = evaluators.run_program(python, whisper, folder, settings().home / "evaluate")
    return list(zip(items, heard, strict=True))


def _spoken(run: Run, language: str, codec: AudioCodec, folder: Path) -> list[dict[str, Any]]:
    """WAVs of the reference voice after the codec, and of the model's clips, of `count` test sentences."""
    from muybridge.speech.script import NAME_OF
    from muybridge.world.sentences import sentence
    from muybridge.world.sound import loudness
    from muybridge.world.voices import SAMPLE_RATE, speak

    items = []
    for number, index in enumerate(run.track(range(run.first, run.first + run.count), f"{language}: speaking")):
        text = sentence(index, "test", language)
        voice = through(codec, speak(text, language).waveform_S)
        items.append(write(folder, f"{language}-{number}-truth.wav", voice, SAMPLE_RATE, language, text))
        prompt = f'A woman stands in a studio, close-up. The woman says in {NAME_OF[language]}: "{text}"'
        clip = run.make(run.ask(prompt, _seconds(prompt), number, size=str(BASE)))
        if clip is not None and clip.waveform_CS is not None:
            sound = clip.waveform_CS.mean(0)
            item = write(folder, f"{language}-{number}-made.wav", sound, clip.sample_rate, language, text)
            items.append(item | {"lufs": loudness(sound[None], clip.sample_rate)})
    return items


def _seconds(prompt: str) -> float:
    """As long as the words need at their own pace."""
    from muybridge.speech.pacing import plan_speech
    from muybridge.speech.script import parse_script

    needed = plan_speech(parse_script(prompt)).needed_s
    return min(max(MIN_SECONDS, math.ceil(needed * 25) / 25), MAX_SECONDS)


def through(codec: AudioCodec, waveform_S: NDArray[np.float32]) -> NDArray[np.float32]:
    """The waveform after encoding and decoding, as long as before."""
    step = codec.samples_per_latent
    padded = np.pad(waveform_S, (0, -len(waveform_S) % step))
    with torch.no_grad():
        again = codec.decode(codec.encode(torch.from_numpy(padded).expand(1, 2, -1)))
    found: NDArray[np.float32] = again[0].mean(0).float().cpu().numpy()[: len(waveform_S)]
    return found


def write(
    folder: Path, name: str, waveform_S: NDArray[np.float32], rate: int, language: str, text: str
) -> dict[str, Any]:
    with wave.open(str(folder / name), "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes((np.clip(waveform_S, -1, 1) * 32767).astype("<i2").tobytes())
    return {"file": name, "language": language, "text": text, "who": "made" if name.endswith("made.wav") else "truth"}


def _audio_codec(run: Run) -> AudioCodec:
    if run.engine is not None:
        return run.engine.parts.audio_codec
    from muybridge.engine.tiny import load_audio_codec

    return load_audio_codec(SHIPPED)


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
