"""How much the codecs keep: pictures and clips, and voices, that no recipe trains on."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from muybridge.errors import NotInstalled
from muybridge.evaluate import picture
from muybridge.evaluate.words import error_rate
from muybridge.model.codecs import VideoCodec
from muybridge.model.fixed_codec import FixedVideoCodec
from muybridge.suites.run import SHIPPED, Run
from muybridge.suites.table import Row


def evaluate(run: Run, trained: VideoCodec | None) -> list[Row]:
    """PSNR on held-out world clips and real pictures, beside the codec of fixed cosines."""
    from muybridge.train.frames import SHARD, make_shard, shard_names

    rows = []
    names = shard_names(SHARD * 10, "test")
    for kind, label, bar in (("world", "world clips", ">= 32 dB"), ("stills", "real pictures", ">= 26 dB")):
        fitting = [name for name in names if name.startswith(kind)]
        clips, _ = make_shard(fitting[run.seed % len(fitting)])
        clips = clips[: run.count]
        figure = None if trained is None else _psnr(run, trained, clips)
        rows.append(Row(f"video PSNR, {label} (dB)", figure, math.inf, bar, len(clips)))
        fixed = _psnr(run, FixedVideoCodec(), clips)
        rows.append(Row(f"fixed cosines, {label} (dB)", fixed, math.inf, "", len(clips)))
    return rows + voices(run)


def voices(run: Run) -> list[Row]:
    """Word error and DNSMOS of voices through the audio codec; the ceiling is the voice itself. None without them."""
    from muybridge.suites import dnsmos, evaluators, speech, whisper

    try:
        python = evaluators.python_for((*whisper.PACKAGES, *dnsmos.PACKAGES), run.evaluators)
    except NotInstalled as error:
        if not run.quiet:
            Console(stderr=True).print(f"Voices are left out. {error}")
        return []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        items = [item for language in run.languages if language != "yue" for item in _spoken(run, language, folder)]
        heard = speech.transcribe(python, folder, items)
        scores = evaluators.run_program(python, dnsmos, folder)
    errors: dict[str, list[float]] = {"truth": [], "made": []}
    clean: dict[str, list[float]] = {"truth": [], "made": []}
    for (item, words), score in zip(heard, scores, strict=True):
        errors[item["who"]].append(error_rate(words["said"], words["heard"], item["language"]))
        clean[item["who"]].append(score)
    rows = []
    for what, found, bar in (("error, all but Cantonese", errors, "voice + 0.03"), ("DNSMOS", clean, "voice - 0.4")):
        figure, ceiling = (float(np.mean(found[who])) for who in ("made", "truth"))
        rows.append(Row(f"voice: {what}", figure, ceiling, bar, len(found["truth"])))
    return rows


def _spoken(run: Run, language: str, folder: Path) -> list[dict[str, Any]]:
    """WAVs of test sentences as they were spoken (truth) and after the codec (made)."""
    from muybridge.engine.tiny import load_audio_codec
    from muybridge.suites import speech
    from muybridge.world.sentences import sentence
    from muybridge.world.voices import SAMPLE_RATE, speak

    codec, items = load_audio_codec(SHIPPED), []
    for index in run.track(range(run.first, run.first + run.count), f"{language}: speaking"):
        text = sentence(index, "test", language)
        spoken_S = speak(text, language).waveform_S
        for who, voice_S in (("truth", spoken_S), ("made", speech.through(codec, spoken_S))):
            items.append(speech.write(folder, f"{language}-{index}-{who}.wav", voice_S, SAMPLE_RATE, language, text))
    return items


def _psnr(run: Run, codec: VideoCodec, clips_NTYX3: Any) -> float:  # noqa: ANN401  (uint8 array)
    return float(np.mean([picture.psnr(through(codec, clip), clip) for clip in run.track(clips_NTYX3, "codec")]))


def through(codec: VideoCodec, frames_TYX3: Any) -> Any:  # noqa: ANN401  (uint8 arrays)
    """Frames after the codec, uint8 [T, Y, X, 3]; T is 4k + 1."""
    frames = torch.from_numpy(np.ascontiguousarray(frames_TYX3)).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    with torch.no_grad():
        again = codec.decode(codec.encode(frames))[0]
    return again.add(1).mul(127.5).round().clamp(0, 255).byte().permute(1, 2, 3, 0).cpu().numpy()
