"""A programme into one file that plays while it is made; a killed run is taken up again and ends in the same bytes.

Beside `talk.mp4` stands `talk.mp4.state/` until the end: `programme.json` says what is being made, one checkpoint a
window holds its latents. An encoder's inside cannot be saved, so a resumed run decodes and encodes what is done once
more (a tenth of its work) and finds the bytes that are there already: whoever watches the file sees it only grow.

Shapes: T frames, Y rows, X columns, C channels, S samples.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import numpy as np
from numpy.typing import NDArray

from muybridge import media
from muybridge.engine.conditions import sound_rate
from muybridge.engine.engine import Engine
from muybridge.engine.meter import Progress
from muybridge.engine.programme import generate_programme, windows_of
from muybridge.engine.state import STREAMS, GenerationState
from muybridge.engine.windows import owned_frames
from muybridge.errors import Conflict, UserError
from muybridge.flow.solver import SolverState
from muybridge.request import AudioMode, Beat, Request
from muybridge.shapes import FPS, Window, sample_at_frame
from muybridge.speech.pacing import Plan

Frames = NDArray[np.uint8]
Waveform = NDArray[np.float32]
SHEET_ROWS, SHEET_COLS = 3, 5


@dataclass(frozen=True)
class Programme:
    """What is to be made: all but the length and the words comes from `request`."""

    request: Request
    seconds: float
    plan: Plan | None
    beats: tuple[Beat, ...] = ()

    @property
    def num_frames(self) -> int:
        """Delivered frames."""
        return round(self.seconds * FPS)

    def seams_s(self, size: str) -> tuple[float, ...]:
        """Where one window of a model size hands over to the next; the file names them, so that they can be tested."""
        owned = owned_frames(windows_of(self.seconds, self.plan, size))
        return tuple(frames.stop / FPS for frames in owned[:-1])


@dataclass(frozen=True)
class Made:
    """What came of it; `num_resumed` windows were found done."""

    windows: tuple[Window, ...]
    num_frames: int
    sample_rate: int | None
    num_resumed: int
    contact_sheet: Path


def make_file(
    engine: Engine,
    programme: Programme,
    output: Path,
    weights: str,
    on_step: Callable[[int, int, Progress], None] | None = None,
) -> Made:
    """Make the programme into `output`, a fragmented MP4 that grows window by window.

    What a killed run of the same programme and `weights` (any text that tells them apart) left is gone on with;
    anything else is begun anew. `on_step` may raise to stop: what is done stays for the next run.
    """
    folder = output.with_name(output.name + ".state")
    checkpoints = WindowFiles(folder, _identity(programme, weights))
    num_resumed = checkpoints.num_done
    file = GrowingFile(output, keep=checkpoints.was_there)
    sink = _Sink(file, programme, sound_rate(engine.parts, programme.request), programme.seams_s(engine.parts.size))
    try:
        windows = generate_programme(
            engine,
            programme.request,
            programme.seconds,
            sink,
            plan=programme.plan,
            beats=programme.beats,
            on_step=on_step,
            checkpoints=checkpoints,
        )
        sink.close()
        file.finish()
    except BaseException:
        sink.abort()
        file.close()
        checkpoints.close()
        raise
    sheet = output.with_suffix(".sheet.png")
    names = [f"{n / FPS:.1f}s" for n in sorted(sink.kept)]
    stills = np.stack([sink.kept[n] for n in sorted(sink.kept)])
    media.contact_sheet(sheet, stills, SHEET_ROWS, SHEET_COLS, labels=names)
    media.write_image(output.with_name(output.stem + ".poster.png"), sink.first_YXC)
    checkpoints.clear()
    return Made(windows, sink.num_frames, sink.sample_rate, num_resumed, sheet)


class WindowFiles:
    """Checkpoints of a programme's windows in a folder; what another programme left there is thrown away."""

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self._lock = _held(folder.with_name(folder.name + ".lock"))
        head = folder / "programme.json"
        found = head.read_text("utf-8") if head.is_file() else None
        self.was_there = found == identity
        if not self.was_there:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            _write_through(head, identity.encode())

    def clear(self) -> None:
        """Nothing is needed any more."""
        shutil.rmtree(self.folder)
        self.close()

    def close(self) -> None:
        """Let another run go on."""
        self._lock.close()
        Path(self._lock.name).unlink(missing_ok=True)

    @property
    def num_done(self) -> int:
        """Windows whose denoising is over."""
        return len(list(self.folder.glob("window-*.done")))

    def load(self, index: int) -> GenerationState | None:
        """The newest state of a window, or None."""
        for path in (self._path(index, "done"), self._path(index, "step")):
            if path.is_file():
                try:
                    return GenerationState.from_bytes(path.read_bytes())
                except UserError:
                    path.unlink()  # of another version, or damaged: this window is made again
        return None

    def save(self, index: int, state: GenerationState) -> None:
        """Keep a state in place of the one before; of a window that is done only what decoding needs."""
        if state.stage != "done":
            _write_through(self._path(index, "step"), state.to_bytes())
            return
        bare = replace(state, solvers={stream: SolverState() for stream in STREAMS})
        _write_through(self._path(index, "done"), bare.to_bytes())
        self._path(index, "step").unlink(missing_ok=True)

    def _path(self, index: int, kind: str) -> Path:
        return self.folder / f"window-{index:03d}.{kind}"


class GrowingFile:
    """A file object that only writes: bytes that stand in the file already are passed over, not written again."""

    def __init__(self, path: Path, keep: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("r+b" if keep and path.is_file() else "w+b")
        self._at = 0

    def write(self, data: bytes) -> int:
        """Append after what was written so far."""
        data = bytes(data)
        self._file.seek(self._at)
        if self._file.read(len(data)) != data:
            self._file.seek(self._at)
            self._file.truncate()
            self._file.write(data)
            self._file.flush()
        self._at += len(data)
        return len(data)

    def finish(self) -> None:
        """End the file here, on the disk."""
        self._file.truncate(self._at)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def close(self) -> None:
        """Leave the file as it is."""
        self._file.close()


class _Sink:
    """Frames and sound to the encoder a second at a time; keeps a few stills for the contact sheet."""

    def __init__(self, file: GrowingFile, programme: Programme, sample_rate: int, seams_s: tuple[float, ...]) -> None:
        self.sample_rate = None if programme.request.audio_mode is AudioMode.NONE else sample_rate
        # One thread: the bytes must not depend on the machine's number of cores. `write` is all that the muxer calls.
        self._writer = media.ClipWriter(
            cast(BinaryIO, file),
            sample_rate=self.sample_rate,
            fragmented=True,
            threads=1,
            metadata={"seams": ",".join(f"{s:g}" for s in seams_s)} if seams_s else None,
        )
        self._wanted = set(_moments(programme.num_frames))
        self.kept: dict[int, Frames] = {}
        self.first_YXC: Frames = np.zeros((0, 0, 3), np.uint8)
        self.num_frames = 0
        self._num_samples = 0

    def add(self, frames_TYXC: Frames, waveform_CS: Waveform | None = None) -> None:
        """A window's frames and as much sound as is final."""
        at = 0
        for start in range(0, max(1, len(frames_TYXC)), FPS):
            chunk = frames_TYXC[start : start + FPS]
            for n in range(self.num_frames, self.num_frames + len(chunk)):
                if n in self._wanted:
                    self.kept[n] = chunk[n - self.num_frames].copy()
            if self.num_frames == 0:
                self.first_YXC = chunk[0].copy()
            self.num_frames += len(chunk)
            sound = None
            if waveform_CS is not None and self.sample_rate is not None:
                is_last = start + FPS >= len(frames_TYXC)
                due = sample_at_frame(self.num_frames, self.sample_rate) - self._num_samples
                sound = waveform_CS[:, at:] if is_last else waveform_CS[:, at : at + due]
                at += sound.shape[1]
                self._num_samples += sound.shape[1]
            self._writer.add(chunk, sound)

    def close(self) -> None:
        """Write the last fragment."""
        self._writer.close()

    def abort(self) -> None:
        """Give up; what was written stays."""
        self._writer.abort()


def _moments(num_frames: int) -> list[int]:
    count = SHEET_ROWS * SHEET_COLS
    return [int((k + 0.5) * num_frames / count) for k in range(count)]


def _identity(programme: Programme, weights: str) -> str:
    """Everything that the result's bits depend on, as text: media by their content."""
    request = programme.request.to_dict()
    paths = [programme.request.image, programme.request.last_image, programme.request.video, programme.request.audio]
    paths += [r.image for r in programme.request.references]
    return json.dumps(
        {
            "format": 3,  # 1 had no anchor, 2 windows of 15 s for all sizes
            "weights": weights,
            "request": request,
            "media": [hashlib.sha256(p.read_bytes()).hexdigest() for p in paths if p is not None],
            "seconds": programme.seconds,
            "plan": None if programme.plan is None else programme.plan.to_dict(),
            "beats": [[b.text, b.start_s, b.end_s] for b in programme.beats],
        },
        ensure_ascii=False,
        sort_keys=True,
    )


def _held(path: Path) -> TextIO:
    """The open file that says a run is on; the system lets go of it when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise Conflict(
            f"{path.stem.removesuffix('.state')} is being made by another run; wait for it or stop it."
        ) from error
    return file


def _write_through(path: Path, data: bytes) -> None:
    """Whole or not at all, also when the power fails."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
