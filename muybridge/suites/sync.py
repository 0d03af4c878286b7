"""Lips on the words: the mouth's opening, measured in pixels, against the phones that were planned and the sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muybridge.errors import UserError
from muybridge.evaluate import sync
from muybridge.shapes import FPS
from muybridge.suites import drawings
from muybridge.suites.codec import through
from muybridge.suites.run import SECONDS, Run
from muybridge.suites.table import Row

if TYPE_CHECKING:
    from muybridge.speech.durations import Phone
    from muybridge.world import talking

Floats = NDArray[np.float64]
FRAME_MS = 1000 / FPS
MAX_LAG_S = 0.4
SHIFT = 3  # frames


@dataclass(frozen=True, eq=False)
class Talk:
    """One clip's signals per frame: opening seen, opening planned, loudness heard; and where p, b, m are said."""

    seen_T: Floats
    planned_T: Floats
    heard_T: Floats
    closed_s: tuple[float, ...]

    def lag_ms(self, shift: int = 0) -> float:
        """How late the lips are behind the plan; `shift` delays them first by frames. NaN without a peak."""
        moved = np.roll(self.seen_T, shift)
        moved[: max(shift, 0)], moved[len(moved) + min(shift, 0) :] = self.seen_T[0], self.seen_T[-1]
        return _lag_ms(self.planned_T, moved)

    @property
    def sound_lag_ms(self) -> float:
        """How late the sound is behind the lips."""
        return _lag_ms(self.seen_T, self.heard_T)

    @property
    def r(self) -> float:
        """Correlation of what is seen with what was planned, at no lag."""
        return correlation(self.seen_T, self.planned_T)

    @property
    def closure(self) -> float:
        """Share of p, b, m at which the mouth is seen to shut, 0 of one that never opens; NaN without any."""
        if self.closed_s and self.seen_T.std() < 1e-9:
            return 0.0
        return sync.closures(self.seen_T, list(self.closed_s))


def correlation(a_T: Floats, b_T: Floats) -> float:
    """Pearson's r; 0 where one of them never changes."""
    return float(np.corrcoef(a_T, b_T)[0, 1]) if a_T.std() > 1e-9 and b_T.std() > 1e-9 else 0.0


def _lag_ms(first_T: Floats, second_T: Floats) -> float:
    """Lag of the second behind the first."""
    count = int(len(first_T) / FPS * sync.RATE)
    first, second = (sync.resample(values, FPS, count) for values in (first_T, second_T))
    lag, _ = sync.lag_of(first, second, int(MAX_LAG_S * sync.RATE))
    return lag * 1000 / sync.RATE


def talk(seen_T: Floats, phones: Sequence[Phone], waveform_CS: NDArray[np.floating], sample_rate: int) -> Talk:
    """The signals of one clip."""
    from muybridge.world.visemes import planned_opening

    closed = tuple((p.start_s + p.end_s) / 2 for p in phones if p.base in "pbm")
    planned_T = planned_opening(phones, len(seen_T))
    return Talk(seen_T, planned_T, sync.frame_levels(waveform_CS.mean(0), sample_rate, len(seen_T)), closed)


def evaluate(run: Run) -> list[Row]:
    """Lag, correlation, closures and injected shifts, per language; and how well the eye itself measures."""
    rows, shown = [], []
    truths: list[Talk] = []
    mades: list[Talk] = []
    noise: list[float] = []
    shares: dict[str, list[float]] = {"true": [], "made": [], "codec": []}
    for language in run.languages:
        true_L, made_L = [], []
        clips = run.track(_clips(run, language), f"{language}: drawing, making, measuring", run.count)
        for number, clip in enumerate(clips):
            lips = run.lips(clip.frames_TYX3)
            shares["true"].append(lips.seen_share)
            noise.append(correlation(lips.opening_T, np.asarray(drawings.aperture(clip.landmarks_TL3), np.float64)))
            true_L.append(talk(lips.opening_T, clip.phones, clip.waveform_CS, 24000))
            if run.engine is not None and (codec := getattr(run.engine, "parts", None)) is not None:
                coded_T = run.lips(through(codec.video_codec, clip.frames_TYX3)).opening_T
                shares["codec"].append(correlation(coded_T, true_L[-1].planned_T))
            found = made(run, clip.prompt, number, shares["made"])
            if found is not None:
                made_L.append(found)
        shown.append((language, (made_L or true_L)[0]))
        truths, mades = truths + true_L, mades + made_L
        rows += _rows(language, made_L if run.engine else None, true_L)
    figure = _caught(mades) if run.engine else None
    rows.append(Row(f"shifts of {SHIFT} frames seen", figure, _caught(truths), ">= 0.9", 2 * len(truths)))
    rows.append(Row("the eye: r with the true opening", None, float(np.mean(noise)), "", len(noise)))
    if shares["codec"]:  # what a perfect base could reach through this codec
        of_truth = float(np.mean([t.r for t in truths]))
        rows.append(Row("r of the truth through the codec", float(np.mean(shares["codec"])), of_truth, "", len(truths)))
    if np.isfinite(shares["true"]).all():
        faces = float(np.mean(shares["made"])) if shares["made"] else None
        rows.append(Row("frames in which a face is found", faces, float(np.mean(shares["true"])), "", len(truths)))
    plot(run, shown)
    return rows


@dataclass(frozen=True, eq=False)
class Drawn:
    """A rendered clip of one person who speaks: landmarks [T, L, 3], sound [C, S] at 24 kHz, the prompt's own words."""

    frames_TYX3: NDArray[np.uint8]
    landmarks_TL3: NDArray[np.floating]
    waveform_CS: NDArray[np.float32]
    phones: tuple[Phone, ...]
    prompt: str


def plans(run: Run, language: str) -> Iterator[tuple[talking.Plan, str]]:
    """Plans and prompts of near faces of the test split, told in English and said in the language; never trained on."""
    from muybridge.world import talking
    from muybridge.world.scene import NEAREST_FRAMING

    index, done = run.first, 0
    while done < run.count:
        planned = talking.plan(index, "test", SECONDS, language=language, cast="person", framing=NEAREST_FRAMING)
        index += 1
        if planned.lines:
            done += 1
            yield planned, _near(talking.words(planned, "test")[0])


def _near(prompt: str) -> str:
    """The prompt with the framing in it: some captions, and all short prompts, leave it to chance."""
    from muybridge.world.scene import NEAREST_FRAMING
    from muybridge.world.wording import FRAMINGS

    told = any(words in prompt.lower() for words in FRAMINGS[NEAREST_FRAMING])
    return prompt if told else f"{NEAREST_FRAMING[0].upper()}{NEAREST_FRAMING[1:]}: {prompt}"


def _clips(run: Run, language: str) -> Iterator[Drawn]:
    """The plans, drawn."""
    from muybridge.world import talking

    for planned, prompt in plans(run, language):
        scene = planned.scene
        frames = drawings.frames_at(scene, np.arange(scene.num_frames), talking.tracks(planned))
        yield Drawn(
            np.stack([frame.pixels_YX3 for frame in frames]),
            np.stack([frame.landmarks_PL3[0] for frame in frames]),
            talking.waveform(planned),
            tuple(phone for line in planned.lines for phone in line.phones),
            prompt,
        )


def made(run: Run, prompt: str, number: int, shares: list[float]) -> Talk | None:
    """The model's clip of the same prompt, measured against its own plan; `shares` takes that of frames with a face."""
    if run.engine is None:
        return None
    from muybridge.speech.pacing import plan_request

    request = run.ask(prompt, number=number)
    try:
        planned = plan_request(request)
    except UserError:
        return None  # the pacing tables call the line too long for the clip; the count shows what is missing
    made = run.engine.generate(request)
    phones = [p for line in planned.lines for p in line.phones]
    assert made.waveform_CS is not None  # sound was asked for
    lips = run.lips(made.frames_TYXC)
    shares.append(lips.seen_share)
    return talk(lips.opening_T, phones, made.waveform_CS, made.sample_rate)


def _rows(language: str, made: list[Talk] | None, truth: list[Talk]) -> list[Row]:
    """The rows of one language."""
    kinds: tuple[tuple[str, str, Callable[[Talk], float], Callable[[Any], Any]], ...] = (
        ("lips behind the plan (ms)", "within 40", lambda t: t.lag_ms(), np.nanmedian),
        ("sound behind the lips (ms)", "", lambda t: t.sound_lag_ms, np.nanmedian),
        ("r of opening and plan", ">= 0.75", lambda t: t.r, np.nanmean),
        ("p b m closed", ">= 0.7", lambda t: t.closure, np.nanmean),
    )
    rows = []
    for what, bar, value, mean in kinds:
        of_truth = _over([value(t) for t in truth], mean)
        figure = None if made is None else _over([value(t) for t in made], mean)
        rows.append(Row(f"{language}: {what}", figure, of_truth, bar, len(truth if made is None else made)))
    return rows


def _over(values: list[float], mean: Any) -> float:  # noqa: ANN401  (a numpy reduction)
    return float(mean(values)) if np.isfinite(values).any() else float("nan")


def _caught(talks: list[Talk]) -> float:
    """Share of injected shifts that the lag tells within one frame of the lag before."""
    hits = []
    for one in talks:
        lag = one.lag_ms()
        hits += [abs(one.lag_ms(s) - lag - s * FRAME_MS) <= FRAME_MS for s in (-SHIFT, SHIFT)]
    return float(np.mean(hits)) if hits else float("nan")


def plot(run: Run, shown: list[tuple[str, Talk]]) -> None:
    """`sync.png`: one clip of each language, opening seen and planned, loudness heard, over time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(shown), 1, figsize=(10, 1.5 * len(shown)), sharex=True, squeeze=False)
    for axis, (language, one) in zip(axes[:, 0], shown, strict=True):
        times = np.arange(len(one.seen_T)) / FPS
        for values, name, colour in (
            (one.heard_T, "loudness", "0.75"), (one.planned_T, "planned opening", "C1"), (one.seen_T, "seen", "C0"),
        ):  # fmt: skip
            axis.plot(times, (values - values.min()) / (np.ptp(values) + 1e-9), color=colour, label=name)
        for moment in one.closed_s:
            axis.axvline(moment, color="C3", linewidth=0.6)
        axis.set_ylabel(language)
        axis.set_yticks([])
    axes[0, 0].legend(loc="upper right", ncols=3, fontsize=7)
    axes[-1, 0].set_xlabel("seconds; red: p, b, m")
    figure.suptitle("the model's clips" if run.engine else "rendered truth")
    figure.tight_layout()
    figure.savefig(run.plot("sync.png"), dpi=110)
    pyplot.close(figure)
