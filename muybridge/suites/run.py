"""One call of `muybridge evaluate`: what is measured, how much of it, by whom, and where plots go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.progress import track

from muybridge.engine.clip import Clip
from muybridge.request import Request

if TYPE_CHECKING:
    from muybridge.engine.engine import Engine
    from muybridge.evaluate.witness import Witness

SHIPPED = Path(__file__).parent.parent / "shipped" / "tiny"
LANGUAGES = ("en", "zh", "yue", "ja", "ko", "de", "fr")
SIZE, HEIGHT, WIDTH = "224x128", 128, 224  # the base stage alone: what the weights were trained at
SECONDS = 4.0
Item = TypeVar("Item")
Maker = Callable[[Request], Clip]


@dataclass
class Run:
    """`engine` is None where nothing is trained: then ceilings alone are measured. `first` is the first test index."""

    engine: Engine | None
    count: int = 8
    seed: int = 0
    out: Path = Path("evaluation")
    quiet: bool = False
    asr_python: str | None = None
    known_witness: Witness | None = field(default=None, repr=False)

    @property
    def first(self) -> int:
        """Each seed looks at other test items; seeds overlap only for counts over 10,000."""
        return self.seed * 10_000

    def make(self, request: Request) -> Clip | None:
        """The model's clip, or None where nothing is trained."""
        return None if self.engine is None else self.engine.generate(request)

    def ask(self, prompt: str, seconds: float = SECONDS, number: int = 0, **fields: object) -> Request:
        """A request at the size that is measured; its noise differs from item to item and is the same in every run."""
        return Request(prompt, size=SIZE, seconds=seconds, seed=self.first + number, **fields)  # type: ignore[arg-type]  # Request checks them

    @cached_property
    def witness(self) -> Witness:
        """Fitted on first use and kept in the user cache."""
        from muybridge.suites.fitted import witness

        return self.known_witness or witness(self.quiet)

    def track(self, items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
        """The items with a progress bar."""
        yield from track(items, what, total=total, disable=self.quiet)

    def plot(self, name: str) -> Path:
        """Where a plot goes; the folder is made."""
        self.out.mkdir(parents=True, exist_ok=True)
        return self.out / name
