"""Everything a generation needs to go on: it serialises, and a resumed one is bit-equal to an uninterrupted one.

Legend: B samples, N tokens, C channels, T latent frames, Y X latent rows/columns, A audio latents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from muybridge.errors import UserError
from muybridge.flow.solver import SolverState
from muybridge.model.face_painter import WORDS
from muybridge.model.tokens import Role, TextTokens
from muybridge.request import Request
from muybridge.shapes import FPS, Window, clock

STREAMS = ("video", "audio")
FORMAT = 4

Stage = Literal["base", "upscaler", "done"]


_NONE, _NOBODY, _WORDLESS = torch.zeros(0), torch.zeros(0, 4), torch.zeros(WORDS)


@dataclass(frozen=True, eq=False)
class Film:
    """A picture and what happens to it over time (film.py), each part empty where nothing of its kind does.

    `faces` (P people) as the finder tells them, their face units over time and what of them is felt, the text features
    that a blank one is drawn with, poses of their heads, views of the camera; `cover` of what stands in front, pixels
    of any size, and when it is struck or strides, in seconds, its kind (layers.py) and where it is heading; a
    horse's `coat` (galloping.py); what the
    light does, and which way surfaces face for a key that wanders (lighting.py); what falls over all of it, and how
    much (falling.py). `small` is what the base goes on from: a picture before it was painted; `behind` the picture
    without what is struck, where it was painted so. `worn` is where a drawn face wears glasses (worn.py),
    `waves` how an arm of these colours is raised (waving.py).
    """

    picture_CYX: Tensor
    num_frames: int
    is_blank: bool = False
    faces_P4: Tensor = _NOBODY
    units_PTU: Tensor = _NONE
    felt_PTU: Tensor = _NONE
    words_W: Tensor = _WORDLESS
    poses_PT5: Tensor = _NONE
    views_5T: Tensor = _NONE
    cover_YX: Tensor = _NONE
    strikes_K: Tensor = _NONE
    kind: str = ""
    heading: int = 1
    light_4T: Tensor = _NONE
    shade_YX: Tensor = _NONE
    small_CYX: Tensor = _NONE
    behind_CYX: Tensor = _NONE
    worn_YX: Tensor = _NONE
    waves_2T: Tensor = _NONE
    arm_2C: Tensor = _NONE
    coat: str = ""
    fall: str = ""
    falls_T: Tensor = _NONE

    @property
    def moves(self) -> bool:
        """Whether anything happens."""
        parts = (
            self.units_PTU,
            self.poses_PT5,
            self.views_5T,
            self.strikes_K,
            self.light_4T,
            self.falls_T,
            self.waves_2T,
        )
        return any(part.numel() for part in parts)

    def at(self, frames: Tensor) -> Film:
        """Of the frames with these numbers. What is struck goes by its own clock, from its first frame on."""
        return replace(
            self,
            num_frames=len(frames),
            units_PTU=self.units_PTU[:, frames] if self.units_PTU.numel() else self.units_PTU,
            felt_PTU=self.felt_PTU[:, frames] if self.felt_PTU.numel() else self.felt_PTU,
            poses_PT5=self.poses_PT5[:, frames] if self.poses_PT5.numel() else self.poses_PT5,
            views_5T=self.views_5T[:, frames] if self.views_5T.numel() else self.views_5T,
            light_4T=self.light_4T[:, frames] if self.light_4T.numel() else self.light_4T,
            waves_2T=self.waves_2T[:, frames] if self.waves_2T.numel() else self.waves_2T,
            falls_T=self.falls_T[frames] if self.falls_T.numel() else self.falls_T,
        )


@dataclass(frozen=True, eq=False)
class Conditions:
    """What the encoders made of a request; the encoders are not needed again.

    `frames` are clean video latents by latent index, at the base and the upscaler's size; `references` [R, C, 1, Y, X];
    `source` is an edit's clip; `voice` an audio latent kept as it is, and the waveform of it that is delivered: [C, S],
    S samples for the clip's frames, so the rate is S * 25 / frames. `reference_audio` is how the speaker sounds. After
    the base stage `left_alone` says where an edit is its source's own picture (left_alone.py); `units_TU` is what is
    asked of a source's face, `rests_T` when its mouth was silent (source_faces.py), `gains_CYX` of its light and
    `place_2CYX` of that of its place (recolour.py), `place_CYX` the place behind its people (backdrop.py). `anchor` [1,
    C, 1, Y, X] is a programme's first picture (anchor.py). `motion` is what camera, head and mouth change in a still
    picture, `film_BCTYX` the whole, and `film` how it is made at the upscaler's size (film.py); `has_lips`: mouths
    speak in it. `has_sounds`: what the scene's words let sound is mixed in (foley.py). `is_anything`: an edit's part is
    not found in its source, so anything may change.
    """

    text: TextTokens
    negative: TextTokens
    frames: Mapping[int, Tensor] = field(default_factory=dict)
    large_frames: Mapping[int, Tensor] = field(default_factory=dict)
    references: Tensor | None = None
    source_BCTYX: Tensor | None = None
    source_audio_BAC: Tensor | None = None
    voice_BAC: Tensor | None = None
    voice_CS: Tensor | None = None
    overlap_audio_BAC: Tensor | None = None
    reference_audio_BAC: Tensor | None = None
    left_alone_TYX: Tensor | None = None
    anchor_BCTYX: Tensor | None = None
    motion_BCTYX: Tensor | None = None
    film_BCTYX: Tensor | None = None
    film: Film | None = None
    units_TU: Tensor | None = None
    rests_T: Tensor | None = None
    gains_CYX: Tensor | None = None
    place_2CYX: Tensor | None = None
    place_CYX: Tensor | None = None
    has_lips: bool = False
    has_sounds: bool = False
    is_anything: bool = False

    @property
    def is_said(self) -> bool:
        """Whether words are said by plan: there are phones on the clock."""
        return bool((self.text.roles_N == Role.SPEECH).any())


@dataclass(frozen=True, eq=False)
class GenerationState:
    """One generation between two steps. `latents` hold x_t of both streams: video [1, C, T, Y, X], audio [1, A, C]."""

    request: Request
    size: str
    window: Window
    stage: Stage
    step: int
    latents: Mapping[str, Tensor]
    solvers: Mapping[str, SolverState]
    conditions: Conditions

    def to_bytes(self) -> bytes:
        """One safetensors blob: 3 MB at 448x256, 50 MB at 1080p for 5 s."""
        tensors = {f"latents.{k}": v for k, v in self.latents.items()}
        for stream, solver in self.solvers.items():
            tensors |= {f"solver.{stream}.{k}": v for k, v in solver.tensors().items()}
        tensors |= _flatten(self.conditions)
        head = {
            "format": FORMAT,
            "request": self.request.to_dict(),
            "size": self.size,
            "stage": self.stage,
            "step": self.step,
            "start_unit": self.window.start_unit,
            "num_frames": self.window.clock.num_frames,
            "overlap_units": self.window.overlap_units,
        }
        # Copies: the same tensor may stand in two places (a kept voice is the latent), which the format refuses.
        flat = {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}
        return save(flat, {"muybridge": json.dumps(head)})

    @staticmethod
    def from_bytes(blob: bytes) -> GenerationState:
        """The inverse of `to_bytes`, on the CPU; raises UserError for anything but a checkpoint of this version."""
        try:
            tensors = load(blob)
            size = int.from_bytes(blob[:8], "little")
            head = json.loads(json.loads(blob[8 : 8 + size])["__metadata__"]["muybridge"])
            version = head["format"]
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"This is not a generation checkpoint ({error}); start the job again.") from error
        if version != FORMAT:
            raise UserError(f"The checkpoint has format {version}, this version reads {FORMAT}; start again.")
        try:
            return GenerationState(
                Request.from_dict(head["request"]),
                head["size"],
                Window(head["start_unit"], clock(head["num_frames"] / FPS), head["overlap_units"]),
                head["stage"],
                head["step"],
                _part(tensors, "latents"),
                {s: SolverState.from_tensors(_part(tensors, f"solver.{s}")) for s in STREAMS},
                _unflatten(tensors),
            )
        except (KeyError, TypeError) as error:
            raise UserError(f"The checkpoint lacks {error}; start the job again.") from error


_TEXTS = ("text", "negative")
_FRAMES = ("frames", "large_frames")


def _flatten(conditions: Conditions) -> dict[str, Tensor]:
    flat: dict[str, Tensor] = {}
    for name in _TEXTS:
        tokens = getattr(conditions, name)
        flat |= {f"{name}.{f.name}": getattr(tokens, f.name) for f in fields(TextTokens)}
    for name in _FRAMES:
        flat |= {f"{name}.{index}": latent for index, latent in getattr(conditions, name).items()}
    rest = [f.name for f in fields(Conditions) if f.name not in (*_TEXTS, *_FRAMES, "film")]
    film = conditions.film
    flat |= {} if film is None else {f"film.{f.name}": _tensor(getattr(film, f.name)) for f in fields(Film)}
    return flat | {f"one.{n}": torch.as_tensor(v) for n in rest if (v := getattr(conditions, n)) is not None}


def _tensor(value: Tensor | float | str) -> Tensor:
    return torch.tensor(list(value.encode()), dtype=torch.uint8) if isinstance(value, str) else torch.as_tensor(value)


def _unflatten(tensors: Mapping[str, Tensor]) -> Conditions:
    text, negative = (TextTokens(**_part(tensors, name)) for name in _TEXTS)
    frames, large = ({int(k): v for k, v in _part(tensors, name).items()} for name in _FRAMES)
    one, film = _part(tensors, "one"), _part(tensors, "film")
    has_lips, has_sounds, is_anything = (
        bool(one.pop(name, False)) for name in ("has_lips", "has_sounds", "is_anything")
    )
    return Conditions(
        text,
        negative,
        frames,
        large,
        film=_film(film) if film else None,
        has_lips=has_lips,
        has_sounds=has_sounds,
        is_anything=is_anything,
        **one,
    )


def _film(flat: dict[str, Tensor]) -> Film:
    numbers = {name: int(flat.pop(name)) for name in ("num_frames", "is_blank", "heading")}
    kind, fall, coat = (bytes(flat.pop(name).tolist()).decode() for name in ("kind", "fall", "coat"))
    return Film(
        num_frames=numbers["num_frames"],
        is_blank=bool(numbers["is_blank"]),
        heading=numbers["heading"],
        kind=kind,
        fall=fall,
        coat=coat,
        **flat,
    )


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) + 1 :]: v for k, v in tensors.items() if k.startswith(prefix + ".")}
