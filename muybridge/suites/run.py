"""One call of `muybridge evaluate`: what is measured, how much of it, by whom, and where plots go."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from muybridge.engine.clip import Clip
from muybridge.errors import NotInstalled
from muybridge.evaluate.gestures import gesture
from muybridge.evaluate.witness import NUM_MOMENTS, moments
from muybridge.request import Request
from muybridge.shapes import PixelSize

if TYPE_CHECKING:
    from muybridge.engine.engine import Engine
    from muybridge.evaluate.witness import Witness
    from muybridge.suites.evaluators import FaceFinder

SHIPPED = Path(__file__).parent.parent / "shipped" / "tiny"
LANGUAGES = ("en", "zh", "yue", "ja", "ko", "de", "fr")
BASE, LARGE = PixelSize(224, 128), PixelSize(448, 256)  # the base stage's picture, and the upscaler's
SECONDS = 4.0
Item = TypeVar("Item")
Maker = Callable[[Request], Clip]
MIN_SEEN = 0.5  # of the frames must show a face, or the clip has no lips


@dataclass(frozen=True, eq=False)
class Lips:
    """The mouth's opening a frame, zeros where the clip shows no face; share of frames with one, NaN if not looked."""

    opening_T: NDArray[np.float64]
    seen_share: float


@dataclass
class Run:
    """`engine` is None where nothing is trained: then ceilings alone are measured. `first` is the first test index."""

    engine: Engine | None
    count: int = 8
    seed: int = 0
    out: Path = Path("evaluation")
    quiet: bool = False
    languages: tuple[str, ...] = LANGUAGES
    evaluators: str | None = None  # the Python that has MediaPipe, Whisper and DNSMOS
    talk_s: float = 60.0  # length of `programme`'s talks
    made_by: str = ""  # weights and code, by their hash: a run that was stopped goes on from what they left in `out`
    known_witness: Witness | None = field(default=None, repr=False)

    @property
    def first(self) -> int:
        """Each seed looks at other test items; seeds overlap only for counts over 10,000."""
        return self.seed * 10_000

    def make(self, request: Request) -> Clip | None:
        """The model's clip, or None where nothing is trained."""
        return None if self.engine is None else self.engine.generate(request)

    @property
    def size(self) -> PixelSize:
        """What the weights draw themselves: the upscaler's size where there is one."""
        parts = getattr(self.engine, "parts", None)
        return LARGE if getattr(parts, "upscaler", None) is not None else BASE

    def ask(self, prompt: str, seconds: float = SECONDS, number: int = 0, **fields: object) -> Request:
        """A request at the size that is measured; its noise differs from item to item and is the same in every run."""
        fields.setdefault("size", str(self.size))
        return Request(prompt, seconds=seconds, seed=self.first + number, **fields)  # type: ignore[arg-type]  # Request checks them

    @cached_property
    def witness(self) -> Witness:
        """Fitted on first use and kept in the user cache."""
        from muybridge.suites.fitted import witness

        return self.known_witness or witness(self.quiet)

    @cached_property
    def finder(self) -> FaceFinder | None:
        """MediaPipe, which finds faces better than the witness does; None without it, and with a given witness."""
        from muybridge.suites import evaluators, face_mesh

        if self.known_witness is not None:
            return None
        try:
            return evaluators.FaceFinder(evaluators.python_for(face_mesh.PACKAGES, self.evaluators))
        except NotInstalled as error:
            if not self.quiet:
                Console(stderr=True).print(f"Faces are found by the witness alone, wrongly on some people. {error}")
            return None

    def lips(self, frames_TYX3: NDArray[np.uint8]) -> Lips:
        """The mouth of the clip's one face: its place by MediaPipe where that is there, its opening by the witness."""
        from muybridge.suites.evaluators import steadied

        if self.finder is None:
            return Lips(self.witness.aperture(frames_TYX3), float("nan"))
        faces_T3 = self.finder.find(frames_TYX3)
        share = float(np.isfinite(faces_T3[:, 0]).mean())
        if share < MIN_SEEN:
            return Lips(np.zeros(len(frames_TYX3)), share)
        return Lips(self.witness.aperture(frames_TYX3, steadied(faces_T3)), share)

    def faces(self, frames_TYX3: NDArray[np.uint8]) -> NDArray[np.float32]:
        """[T, 3] by MediaPipe, frame by frame; by the witness where that finds none. A finder must be there."""
        assert self.finder is not None  # asked before
        found_T3 = self.finder.find(frames_TYX3, are_stills=True)
        return np.where(np.isfinite(found_T3), found_T3, self.witness.single_faces(frames_TYX3))

    def attributes(self, frames_TYX3: NDArray[np.uint8]) -> dict[str, str]:
        """What the witness says of the clip."""
        if self.finder is None:
            return self.witness.attributes(frames_TYX3)
        return self.witness.attributes(frames_TYX3, self.faces(moments(frames_TYX3)))

    def gestures(self, frames_TYX3: NDArray[np.uint8], spans: Iterable[tuple[float, float]]) -> list[str]:
        """The gesture of the head in each span of seconds; MediaPipe must be there."""
        assert self.finder is not None  # asked before
        poses_TK = self.finder.poses(frames_TYX3)
        return [gesture(poses_TK, start_s, end_s) for start_s, end_s in spans]

    def moods(self, frames_TYX3: NDArray[np.uint8]) -> list[str]:
        """The expression of every frame, as the witness sees it."""
        return self.witness.moods(frames_TYX3, None if self.finder is None else self.faces(frames_TYX3))

    def describe(self, frames_TYX3: NDArray[np.uint8], count: int = NUM_MOMENTS) -> NDArray[np.float64]:
        """The person in numbers, as the witness sees them in `count` frames."""
        if self.finder is None:
            return self.witness.describe(frames_TYX3, count)
        return self.witness.describe(frames_TYX3, count, self.faces(moments(frames_TYX3, count)))

    @cached_property
    def face_net(self) -> str | None:
        """The Python that has dlib's face net; None where there is none, and with a given witness."""
        from muybridge.suites import evaluators, face_net

        if self.known_witness is not None:
            return None
        try:
            return evaluators.python_for(face_net.PACKAGES, self.evaluators)
        except NotInstalled as error:
            if not self.quiet:
                Console(stderr=True).print(f"Who somebody is, is told by the witness alone. {error}")
            return None

    def face_vectors(self, pictures_NYX3: NDArray[np.uint8]) -> NDArray[np.float64]:
        """[N, 128] of each picture's largest face, by dlib's net, which must be there; NaN where it finds none."""
        from muybridge.suites import evaluators, face_net

        assert self.face_net is not None  # asked before
        with tempfile.TemporaryDirectory() as name:
            np.save(Path(name) / "pictures.npy", pictures_NYX3)
            found = evaluators.run_program(self.face_net, face_net, Path(name))
        return np.array([[np.nan] * 128 if vector is None else vector for vector in found])

    def close(self) -> None:
        """End what was started for looking."""
        if "finder" in self.__dict__ and self.finder is not None:
            self.finder.close()

    def track(self, items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
        """The items with a progress bar."""
        yield from track(items, what, total=total, disable=self.quiet)

    def plot(self, name: str) -> Path:
        """Where a plot goes; the folder is made."""
        self.out.mkdir(parents=True, exist_ok=True)
        return self.out / name
