"""The one bridge between jobs and the engine: a runner that makes a job's clip on this machine.

The engine is loaded once a process and kept for the model last asked for; torch is imported only then.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from muybridge import media
from muybridge.jobs.job import Job
from muybridge.jobs.worker import Hook, ResultFile, RunResult
from muybridge.providers.catalog import LOCAL
from muybridge.request import Request
from muybridge.speech.language_of import check_language

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from muybridge.engine import Clip, Engine, GenerationState, Progress

LOADING_LEASE_S = 900.0  # 61 GB from a slow disk, and a compile
DECODE_LEASE_S = 300.0
CONTINUES = "continues"  # the key of Request.extra that names the clip an extension goes on from

_loaded: dict[str, Engine] = {}


def runner(job: Job, checkpoint: bytes | None, hook: Hook, workdir: Path) -> RunResult:
    """Make (or go on making) the job's clip: MP4, thumbnail, spritesheet and poster. See jobs.worker.Runner.

    Raises UserError for what the model cannot do, Cancelled or Preempted from the hook.
    """
    from muybridge.engine import GenerationState

    model = job.model_actual or job.model
    request = Request.from_dict(job.request)
    if model == "tiny":
        check_language(request.prompt, model)
    hook.step("loading", 0.0, None, lease_s=LOADING_LEASE_S)
    engine = load_engine(model)
    started = time.perf_counter()  # loading is no job's own work
    state = engine.encode(request) if checkpoint is None else GenerationState.from_bytes(checkpoint)

    def between(state: GenerationState, progress: Progress) -> None:
        hook.step(
            progress.stage, 100 * progress.fraction, progress.eta_s, state.to_bytes, lambda: preview(engine, state)
        )

    state = engine.denoise(state, between)
    hook.step("decode", 95.0, None, state.to_bytes, lease_s=DECODE_LEASE_S)
    clip = engine.decode(state)
    hook.step("write", 98.0, None)
    formula = engine.cost(request)
    usage = {
        "output_s": clip.seconds,
        "flops": formula.flops,
        "compute_s": time.perf_counter() - started,
        "formula_s": formula.seconds,
        "device": device_name(engine),
    }
    before = request.extra.get(CONTINUES)
    whole = clip if before is None else joined(Path(before), clip)
    made = write_files(whole.frames_TYXC, whole.waveform_CS, whole.sample_rate, workdir)
    return RunResult(made, usage, model, {"provider": LOCAL})


def joined(before: Path, clip: Clip) -> Clip:
    """The clip at `before`, at the new one's size and rate, with the new one after it: an extension's whole result.

    Both keep all their frames, so the new part starts exactly where the old one ended and lengths add up.
    """
    import numpy as np

    from muybridge.engine import Clip

    height, width = clip.frames_TYXC.shape[1:3]
    frames, waveform, _ = media.read_clip(before, size=(height, width), sample_rate=clip.sample_rate)
    together = np.concatenate([frames, clip.frames_TYXC])
    if clip.waveform_CS is None and waveform is None:
        return Clip(together, None, clip.sample_rate)
    parts = [
        _stereo(sound, media.samples_at(len(pictures), 25, clip.sample_rate))
        for sound, pictures in ((waveform, frames), (clip.waveform_CS, clip.frames_TYXC))
    ]
    return Clip(together, np.concatenate(parts, axis=1), clip.sample_rate)


def _stereo(waveform_CS: NDArray[np.float32] | None, num_samples: int) -> NDArray[np.float32]:
    """Two channels of exactly `num_samples`; silence where there is no sound."""
    import numpy as np

    if waveform_CS is None:
        return np.zeros((2, num_samples), np.float32)
    both = np.repeat(waveform_CS, 2, 0) if len(waveform_CS) == 1 else waveform_CS[:2]
    return media.fit_waveform(both, num_samples)


def load_engine(model: str) -> Engine:
    """The engine of `model`, loaded once; another model's engine is dropped first, for there is memory for one."""
    if model not in _loaded:
        from muybridge.engine import load

        _loaded.clear()
        _loaded[model] = load(model)
    return _loaded[model]


def device_name(engine: Engine) -> str:
    """The kind of machine that an engine runs on, as speeds are compared by it: `NVIDIA H100 80GB HBM3`, `cpu`."""
    import torch

    device = engine.parts.device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def preview(engine: Engine, state: GenerationState) -> bytes:
    """A JPEG of the clip's middle as it looks now."""
    return media.encode_image(media.thumbnail(engine.preview(state)), "jpeg")


def write_files(
    frames_TYXC: NDArray[np.uint8],
    waveform_CS: NDArray[np.float32] | None,
    sample_rate: int,
    folder: Path,
) -> tuple[ResultFile, ...]:
    """The clip and the pictures that protocols offer of it."""
    num_frames, height, width = frames_TYXC.shape[:3]
    clip = folder / "clip.mp4"
    media.write_clip(clip, frames_TYXC, waveform_CS, sample_rate=sample_rate, poster=False)
    thumbnail, sheet, last = folder / "thumbnail.webp", folder / "spritesheet.jpg", folder / "last_frame.png"
    media.write_image(thumbnail, media.thumbnail(frames_TYXC[num_frames // 2]))
    media.write_image(sheet, media.spritesheet(frames_TYXC))
    media.write_image(last, frames_TYXC[-1])
    return (
        ResultFile("video", clip, "video/mp4", width, height, num_frames / 25, 25.0),
        ResultFile("thumbnail", thumbnail, "image/webp"),
        ResultFile("spritesheet", sheet, "image/jpeg"),
        ResultFile("last_frame", last, "image/png", width, height),
    )
