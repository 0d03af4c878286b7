"""The zero-drift test of one long clip on one page: lag over time, its slope and bounds, every seam, the container.

What passes: the 90 % interval of slope x length inside 20 ms, median within 20 ms, no window off by more than 45 ms, no
step over 20 ms, no seam that shows, and a container that adds nothing. A clip that is too short to tell does not pass.

Legend: T frames, S samples, D numbers of one frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muybridge import media
from muybridge.errors import InvalidRequest, MediaInvalid, NotInstalled
from muybridge.evaluate import sync
from muybridge.evaluate.container import ContainerTimes, container_times
from muybridge.evaluate.seams import LEAST_COLOUR, Seam, clicks, colour_TD, jumps, sync_steps

Floats = NDArray[np.float64]
Sees = Callable[[NDArray[np.uint8]], NDArray[np.floating]]  # frames of some seconds -> a number or numbers a frame

# Mono sound and its rate -> the opening that it tells, at sync.RATE; None where it tells of none.
Hears = Callable[[NDArray[np.floating], int], Floats | None]

SMALL = (128, 224)  # rows and columns that pictures are read at; faces are measured relative to themselves
CHUNK = 250  # frames read at a time: memory does not grow with the clip
SEAMS_TAG = "seams"  # in the file's metadata: seconds, by comma


@dataclass(frozen=True, eq=False)
class Report:
    """Everything the page shows. `drift` has the verdict on lips and sound alone, `passes` that on all together."""

    name: str
    seconds: float
    opening_from: str
    sound_from: str
    windows: sync.Windows
    drift: sync.Drift
    seams: tuple[Seam, ...]
    container: ContainerTimes | None

    @property
    def faults(self) -> tuple[str, ...]:
        """What does not pass, in words."""
        out = [] if self.drift.verdict == "in sync" else [f"lips and sound: {self.drift.verdict}"]
        out += [f"{s.kind} at the seam at {s.at_s:.2f} s" for s in self.seams if s.is_fault]
        return (*out, *(() if self.container is None else self.container.faults))

    @property
    def passes(self) -> bool:
        """No fault of any kind."""
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; what could not be measured is null."""
        drift = {k: plain(v) for k, v in asdict(self.drift).items()}
        container = None
        if self.container is not None:
            container = {"difference_ms": float(self.container.difference_s) * 1000, "faults": self.container.faults}
        return {
            "clip": self.name,
            "seconds": self.seconds,
            "opening_from": self.opening_from,
            "sound_from": self.sound_from,
            "passes": self.passes,
            "faults": list(self.faults),
            "drift": drift,
            "slope_x_length_ms": plain(self.drift.slope_ms_per_s * self.seconds),
            "seams": [{k: plain(v) for k, v in asdict(s).items()} for s in self.seams],
            "container": container,
        }


def judge(
    name: str,
    opening_T: NDArray[np.floating],
    waveform_S: NDArray[np.floating],
    sample_rate: int,
    seams_s: Sequence[float] = (),
    *,
    fps: float = 25.0,
    opening_from: str = "truth",
    colours_TD: Floats | None = None,
    person_TD: Floats | None = None,
    container: ContainerTimes | None = None,
    heard: Hears | None = None,
) -> Report:
    """The report of signals in memory: mouth opening a frame, mono sound, seams in seconds from the start.

    `heard` tells the opening from the sound; without it, how loud the voice is does.
    """
    seconds = len(opening_T) / fps
    told_R = None if heard is None else heard(waveform_S, sample_rate)
    windows = sync.windows(opening_T, waveform_S, sample_rate, fps, told_R)
    seams = [*sync_steps(windows, seams_s), *clicks(waveform_S, sample_rate, seams_s)] if seams_s else []
    if colours_TD is not None and seams_s:
        seams += jumps("colour", colours_TD, seams_s, fps, LEAST_COLOUR)
    if person_TD is not None and seams_s:
        seams += jumps("identity", person_TD, seams_s, fps)
    drift = sync.drift(windows, seconds)
    sound_from = "loudness" if told_R is None else "loudness and phones"
    return Report(name, seconds, opening_from, sound_from, windows, drift, tuple(seams), container)


def judge_clip(
    clip: Path,
    opening: Sees | None = None,
    person: Sees | None = None,
    seams_s: Sequence[float] | None = None,
    heard: Hears | None = None,
) -> Report:
    """The report of a file. Seams are those its metadata name; openings those of `<clip>.truth.npz`, else `opening`'s.

    The truth file holds `opening_T`, a number a frame. Raises MediaInvalid without sound, pictures or openings.
    """
    truth_T = _truth(clip)
    if truth_T is None and opening is None:
        raise MediaInvalid(
            f"Nothing tells how far the mouth in {clip.name} is open: put {truth_path(clip).name} with `opening_T` "
            "beside it, or name a witness."
        )
    reader = media.ClipReader(clip, size=SMALL, channels=1)
    openings: list[NDArray[np.floating]] = []
    colours: list[Floats] = []
    people: list[Floats] = []
    held: list[NDArray[np.uint8]] = []

    def look() -> None:
        frames = np.stack(held)
        held.clear()
        colours.append(colour_TD(frames))
        if opening is not None and truth_T is None:
            openings.append(np.asarray(opening(frames), np.float64))
        if person is not None:
            people.append(np.asarray(person(frames), np.float64))

    for frame in reader.frames():
        held.append(frame)
        if len(held) == CHUNK:
            look()
    if held:
        look()
    waveform, rate = reader.waveform(), reader.rate
    reader.close()
    if waveform is None or rate is None:
        raise MediaInvalid(f"{clip.name} has no sound; there is nothing that the lips could be in time with.")
    return judge(
        clip.name,
        np.concatenate(openings) if truth_T is None else truth_T[: reader.num_frames],
        waveform[0],
        rate,
        seams_of(clip) if seams_s is None else seams_s,
        opening_from="witness" if truth_T is None else "truth",
        colours_TD=np.concatenate(colours),
        person_TD=np.concatenate(people) if people else None,
        container=container_times(clip),
        heard=heard,
    )


def truth_path(clip: Path) -> Path:
    """Where the truth about a rendered clip lies."""
    return clip.with_suffix(".truth.npz")


def _truth(clip: Path) -> Floats | None:
    path = truth_path(clip)
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as kept:
        if "opening_T" not in kept:
            raise MediaInvalid(f"{path.name} holds no opening_T.")
        return np.asarray(kept["opening_T"], np.float64)


def seams_of(clip: Path) -> tuple[float, ...]:
    """Seconds at which a window of a programme ends, as the file itself says; none for a single shot."""
    with media.open_media(clip) as file:
        return seams_from(file.metadata.get(SEAMS_TAG, ""))


def seams_from(text: str) -> tuple[float, ...]:
    """Seconds by comma. Raises InvalidRequest for anything else."""
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise InvalidRequest(f"Seams are seconds by comma (14.2,28.4), not {text!r}.", "seams") from error


def draw(report: Report, path: Path) -> Path:
    """One page A4 as PNG or PDF, by the name's ending. Raises NotInstalled without matplotlib."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise NotInstalled("The page is drawn by matplotlib: pip install 'muybridge[world]'") from error
    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, (lags, sides, words) = plt.subplots(
        3, 1, figsize=(8.27, 11.69), height_ratios=(3, 2, 3), layout="constrained"
    )
    found, drift = report.windows, report.drift
    lags.axhspan(-sync.OFFSET_MS, sync.OFFSET_MS, color="tab:green", alpha=0.12, label="within 20 ms")
    for bound in (-sync.WORST_MS, sync.WORST_MS):
        lags.axhline(bound, color="tab:red", linewidth=0.8, linestyle="--")
    lags.scatter(found.centre_s, found.lag_ms, c=found.peak, vmin=0, vmax=1, s=18, cmap="viridis", zorder=3)
    if len(found.lag_ms):
        line = drift.offset_ms + drift.slope_ms_per_s * (found.centre_s - np.median(found.centre_s))
        lags.plot(found.centre_s, line, color="tab:orange", label=f"{drift.slope_ms_per_s:+.3f} ms/s (Theil-Sen)")
    for seam in sorted({s.at_s for s in report.seams}):
        lags.axvline(seam, color="grey", linewidth=0.8, linestyle=":")
    reach = max(60.0, float(np.abs(found.lag_ms).max(initial=0.0)) * 1.1)
    lags.set(xlim=(0, report.seconds), ylim=(-reach, reach), xlabel="s", ylabel="sound behind lips, ms")
    lags.legend(loc="upper right", fontsize=8)
    verdict = "passes" if report.passes else "does not pass"
    lags.set_title(f"{report.name}: {verdict}", fontsize=13, fontweight="bold")
    kinds = list(dict.fromkeys(s.kind for s in report.seams))
    for k, kind in enumerate(kinds):
        rows = [s for s in report.seams if s.kind == kind]
        limit = [1.0 if kind == "sync" else 1.5] * len(rows)
        heights = [abs(s.figure) / s.usual / most if s.usual else math.nan for s, most in zip(rows, limit, strict=True)]
        places = np.arange(len(rows)) + 0.8 * k / len(kinds)
        colours = ["tab:red" if s.is_fault else f"C{k}" for s in rows]
        sides.bar(places, np.nan_to_num(heights), 0.7 / len(kinds), color=colours, label=kind)
        sides.set_xticks(np.arange(len(rows)) + 0.3, [f"{s.at_s:.1f} s" for s in rows], fontsize=8)
    sides.axhline(1.0, color="tab:red", linewidth=0.8, linestyle="--")
    sides.set_ylabel("share of what is allowed")
    sides.set_title("Seams" if kinds else "No seams named in this file", fontsize=10)
    if kinds:
        sides.legend(fontsize=8)
    words.axis("off")
    words.text(0.0, 1.0, "\n".join(page_lines(report)), va="top", family="monospace", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path


def page_lines(report: Report) -> list[str]:
    """The figures as text, each beside its bound."""
    drift, length = report.drift, report.seconds
    low, high = drift.slope_ci_ms
    lines = [
        f"length                     {length:8.2f} s       opening from {report.opening_from}, "
        f"sound by {report.sound_from}",
        f"valid windows              {drift.valid_share:8.0%}         at least {sync.MIN_VALID:.0%}",
        f"slope x length             {drift.slope_ms_per_s * length:+8.1f} ms",
        f"  its 90 % interval  {low:+7.1f} .. {high:+7.1f} ms      inside +-{sync.DRIFT_MS:g}",
        f"median offset              {drift.offset_ms:+8.1f} ms      within +-{sync.OFFSET_MS:g}",
        f"worst window               {drift.worst_ms:8.1f} ms      at most {sync.WORST_MS:g}",
        f"largest step               {drift.step_ms:8.1f} ms      at most {sync.STEP_MS:g}",
        f"jitter (1.48 MAD)          {drift.jitter_ms:8.1f} ms",
    ]
    if report.container is not None:
        difference = float(report.container.difference_s) * 1000
        lines.append(f"container: sound - picture {difference:+8.3f} ms      under 40")
    for kind in dict.fromkeys(s.kind for s in report.seams):
        rows = [s for s in report.seams if s.kind == kind]
        worst = max(rows, key=lambda s: -1.0 if math.isnan(s.figure) else abs(s.figure) / (s.usual or math.inf))
        lines.append(
            f"seams, {kind:<9} {len(rows)} seen; worst {worst.figure:+.2f} beside the clip's own {worst.usual:.2f}"
        )
    return [*lines, "", *(f"fault: {fault}" for fault in report.faults or ("none",))]


def plain(value: Any) -> Any:  # noqa: ANN401  (any field's value)
    """A value for JSON: tuples as lists, what is infinite or no number as null."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
