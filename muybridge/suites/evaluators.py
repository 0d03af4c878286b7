"""Evaluators that are no part of what ships (Whisper, MediaPipe, DNSMOS): programs of their own, run by the Python that
has their packages, here or in another environment.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muybridge.errors import NotInstalled, UserError
from muybridge.evaluate.witness import HEIGHT, WIDTH
from muybridge.suites import face_mesh

INSTALL = "docs/how/evaluate.md has the lines to type; name that environment's Python by --evaluators"


def python_for(packages: tuple[str, ...], asked: str | None) -> str:
    """The Python that can import `packages`: the one asked for, or this one. Raises NotInstalled, UserError."""
    python = asked or sys.executable
    try:
        check = subprocess.run(
            [python, "-c", f"import {', '.join(packages)}"], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise UserError(f"--evaluators {python} cannot be run: {error}.") from error
    if check.returncode:
        why = check.stderr.strip().splitlines()[-1:] or ["it does not start"]
        raise NotInstalled(f"This measure needs {', '.join(packages)}: {INSTALL} ({python}: {why[0]}).")
    return python


def run_program(python: str, program: ModuleType, *arguments: Path) -> Any:  # noqa: ANN401  (its JSON)
    """What a program printed as JSON. Raises UserError with its last words where it failed."""
    line = [python, str(program.__file__), *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{Path(line[1]).name} in {python} failed: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout)


class FaceFinder:
    """MediaPipe's face mesh in its own process, started once; `close` ends it."""

    def __init__(self, python: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._errors = Path(self._folder.name) / "errors.txt"
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [python, str(face_mesh.__file__)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def find(self, frames_TYX3: NDArray[np.uint8], are_stills: bool = False) -> NDArray[np.float32]:
        """[T, 3]: mouth (x, y) and face height in pixels of the witness's picture; NaN where no face is found.

        Frames of a clip are followed from one to the next, stills are not.
        """
        found: NDArray[np.float32] = self._mesh(frames_TYX3, are_stills)[:, :3] * np.array(
            [WIDTH, HEIGHT, HEIGHT], np.float32
        )
        return found

    def poses(self, frames_TYX3: NDArray[np.uint8]) -> NDArray[np.float32]:
        """[T, 4] of a clip: how the head is turned, nodded and tilted (face_mesh.py), and the log of its size."""
        seen = self._mesh(frames_TYX3, are_stills=False)
        poses: NDArray[np.float32] = np.concatenate([seen[:, 3:], np.log(seen[:, 2:3])], 1)
        return poses

    def _mesh(self, frames_TYX3: NDArray[np.uint8], are_stills: bool) -> NDArray[np.float32]:
        path = Path(self._folder.name) / "frames.npy"
        np.save(path, np.ascontiguousarray(frames_TYX3))
        assert self._process.stdin is not None and self._process.stdout is not None  # pipes, as asked for above
        with contextlib.suppress(BrokenPipeError):  # said below
            self._process.stdin.write(f"{'stills' if are_stills else 'clip'} {path}\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if not answer:
            raise UserError(f"The face mesh stopped: {self._errors.read_text(errors='replace').strip()[-300:]}")
        found: NDArray[np.float32] = np.load(answer)
        return found

    def close(self) -> None:
        """End the process and remove what it shared."""
        assert self._process.stdin is not None and self._process.stdout is not None  # as above
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        self._folder.cleanup()


def steadied(faces_T3: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaps filled from the frames beside them, then the median of 9 frames. At least one frame must be known."""
    at = np.arange(len(faces_T3))
    known = np.isfinite(faces_T3[:, 0])
    filled = np.stack([np.interp(at, at[known], column[known]) for column in faces_T3.T], 1)
    padded = np.pad(filled, ((4, 4), (0, 0)), mode="edge")
    steady: NDArray[np.float32] = np.median(np.lib.stride_tricks.sliding_window_view(padded, 9, 0), -1)
    return steady.astype(np.float32)
