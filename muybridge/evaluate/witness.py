"""A witness who says what is in a picture: small nets fitted at evaluation time on drawn scenes, no foreign weights.

It finds the mouth, measures its opening, tells attributes (hair, clothes, place) and describes a person by numbers. How
well it sees is measured on drawn scenes of people and combinations it was not fitted on: the ceiling beside every
figure.

Legend: B pictures, T frames, Y X rows and columns, C channels, K answers, V person numbers, F flow features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as nnf

from muybridge.model.weights import load_into, save

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

HEIGHT, WIDTH = 128, 224  # pictures are brought to this size first
# Cut-outs in units of the face (brows to mouth): left, top, right, bottom from the mouth; rows, columns; jitter.
MOUTH_BOX, MOUTH_SIZE = (-0.62, -0.45, 0.62, 0.62), (32, 40)
PERSON_BOX, PERSON_SIZE = (-2.4, -2.7, 2.4, 2.3), (64, 64)
BODY_BOX, BODY_SIZE = (-3.5, 0.2, 3.5, 6.2), (48, 56)  # clothes, which a head's box shows little of
MOOD_BOX, MOOD_SIZE = (-1.3, -1.5, 1.3, 0.8), (56, 64)
SCENE_SIZE = (HEIGHT // 2, WIDTH // 2)
REFINER_SIZE, ROUNDS = (40, 40), 2  # the person's box again; how often a face is found more exactly
# What is told from a person and the place around, whose light says what a colour is; and from the place alone.
PERSON_ATTRIBUTES, SCENE_ATTRIBUTES, CAMERA = ("hair", "clothes", "light"), ("count", "place", "hour"), "camera"
EXPRESSION = "expression"
COLOURS = 12  # fields a side
FEATURES = 256
NUM_MOMENTS = 9  # frames of a clip that are looked at for attributes


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.GroupNorm(8, outputs), nn.SiLU())


class Locator(nn.Module):
    """[B, 3, 32, 56] -> mouth (x, y) in 0..1 and log face height over picture height."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(3, 16, 2), _conv(16, 24), _conv(24, 32, 2), _conv(32, 32), _conv(32, 32))
        self.heat = nn.Conv2d(32, 1, 1)
        self.size = nn.Linear(64, 1)

    def forward(self, pictures_BCYX: Tensor) -> Tensor:
        """[B, 3]: x, y, log height."""
        features = self.body(pictures_BCYX)
        rows, columns = features.shape[-2:]
        weights_BN = self.heat(features).flatten(1).softmax(-1)
        y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij")
        place = torch.stack([weights_BN @ x.flatten(), weights_BN @ y.flatten()], 1)
        flat = features.flatten(2)
        seen = torch.cat([(flat * weights_BN[:, None]).sum(-1), flat.mean(-1)], 1)
        return torch.cat([place, self.size(seen)], 1)


class Cutout(nn.Module):
    """A cut-out's net: features [B, D]."""

    def __init__(self, widths: Sequence[int], size: tuple[int, int], out: int = 128) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for width in widths:
            layers.append(_conv(before, width, 2))
            before = width
        self.body = nn.Sequential(*layers)
        cells = (-(-size[0] // 2 ** len(widths))) * (-(-size[1] // 2 ** len(widths)))
        self.last = nn.Linear(before * cells + 3 * COLOURS**2, out)

    def forward(self, pictures_BCYX: Tensor) -> Tensor:
        """Features after a nonlinearity. Coarse colours come in beside the shapes: the norms above take them out."""
        colours = nnf.adaptive_avg_pool2d(pictures_BCYX, COLOURS).flatten(1)
        return nnf.silu(self.last(torch.cat([self.body(pictures_BCYX).flatten(1), colours], 1)))


class Witness(nn.Module):
    """All nets. `answers` names the answers of each attribute; `num_person` counts the numbers of a person."""

    flow_mean: Tensor
    flow_std: Tensor
    person_mean: Tensor
    person_std: Tensor

    def __init__(self, answers: Mapping[str, Sequence[str]], num_person: int) -> None:
        super().__init__()
        self.answers = {name: tuple(values) for name, values in answers.items()}
        self.locator = Locator()
        self.refiner = nn.Sequential(Cutout((16, 32, 48), REFINER_SIZE, 64), nn.Linear(64, 3))
        self.mouth = nn.Sequential(Cutout((16, 32, 48), MOUTH_SIZE, 64), nn.Linear(64, 1))
        self.person = Cutout((32, 64, 96, 128), PERSON_SIZE, FEATURES)
        self.dress = Cutout((32, 64, 96, 128), BODY_SIZE, FEATURES)
        self.scene = Cutout((32, 64, 96, 128), SCENE_SIZE, FEATURES)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(3 * FEATURES, len(self.answers[name])) for name in PERSON_ATTRIBUTES}
            | {name: nn.Linear(FEATURES, len(self.answers[name])) for name in SCENE_ATTRIBUTES}
        )
        self.numbers = nn.Linear(FEATURES, num_person)
        self.mood = nn.Sequential(
            Cutout((24, 48, 72, 96), MOOD_SIZE, 128), nn.Dropout(0.2), nn.Linear(128, len(answers[EXPRESSION]))
        )
        self.camera = nn.Sequential(nn.Linear(96, 96), nn.SiLU(), nn.Dropout(0.2), nn.Linear(96, len(answers[CAMERA])))
        self.register_buffer("flow_mean", torch.zeros(96))
        self.register_buffer("flow_std", torch.ones(96))
        self.register_buffer("person_mean", torch.zeros(num_person))
        self.register_buffer("person_std", torch.ones(num_person))

    @torch.no_grad()
    def faces(self, frames_TYX3: Bytes) -> NDArray[np.float32]:
        """[T, 3]: mouth (x, y) and face height in pixels of the WIDTH x HEIGHT picture, steadied over 9 frames."""
        faces = self.single_faces(frames_TYX3)
        padded = np.pad(faces, ((4, 4), (0, 0)), mode="edge")
        steady: NDArray[np.float32] = np.median(np.lib.stride_tricks.sliding_window_view(padded, 9, 0), -1)
        return steady.astype(np.float32)

    @torch.no_grad()
    def single_faces(self, frames_TYX3: Bytes) -> NDArray[np.float32]:
        """As `faces`, each frame by itself: for frames that do not follow each other."""
        pictures = small(frames_TYX3)
        faces = to_pixels(torch.cat([self.locator(part) for part in quarter(pictures).split(64)]))
        for _ in range(ROUNDS):
            cuts = cut(pictures, faces, PERSON_BOX, REFINER_SIZE)
            move = torch.cat([self.refiner(part) for part in cuts.split(64)])
            faces = torch.cat([faces[:, :2] + move[:, :2] * faces[:, 2:], faces[:, 2:] * move[:, 2:].exp()], 1)
        found: NDArray[np.float32] = faces.numpy()
        return found

    @torch.no_grad()
    def aperture(self, frames_TYX3: Bytes, faces_T3: NDArray[np.float32] | None = None) -> Floats:
        """Opening of the mouth over nose-to-chin, per frame."""
        pictures = small(frames_TYX3)
        faces = torch.from_numpy(self.faces(frames_TYX3) if faces_T3 is None else faces_T3)
        cuts = cut(pictures, faces, MOUTH_BOX, MOUTH_SIZE)
        found: Floats = torch.cat([self.mouth(part)[:, 0] for part in cuts.split(64)]).double().numpy()
        return found

    @torch.no_grad()
    def attributes(self, frames_TYX3: Bytes, faces_M3: NDArray[np.float32] | None = None) -> dict[str, str]:
        """The likeliest answer of every attribute over the clip; `faces_M3` are those of its `moments`."""
        chosen = moments(frames_TYX3)
        odds = self._odds(chosen, faces_M3)
        said = {name: self.answers[name][int(found.mean(0).argmax())] for name, found in odds.items()}
        flow = (torch.from_numpy(flow_features(chosen)) - self.flow_mean) / self.flow_std
        return said | {CAMERA: self.answers[CAMERA][int(self.camera(flow[None].float()).argmax())]}

    def moods(self, frames_TYX3: Bytes, faces_T3: NDArray[np.float32] | None = None) -> list[str]:
        """The likeliest expression of every frame."""
        return [self.answers[EXPRESSION][int(k)] for k in self._odds(frames_TYX3, faces_T3)[EXPRESSION].argmax(-1)]

    @torch.no_grad()
    def _odds(self, frames_TYX3: Bytes, faces_T3: NDArray[np.float32] | None = None) -> dict[str, Tensor]:
        pictures = small(frames_TYX3)
        faces = torch.from_numpy(self.single_faces(frames_TYX3) if faces_T3 is None else faces_T3)
        person = self.person(cut(pictures, faces, PERSON_BOX, PERSON_SIZE))
        dress = self.dress(cut(pictures, faces, BODY_BOX, BODY_SIZE))
        odds = self.told(person, dress, self.scene(half(pictures)))
        odds |= {EXPRESSION: self.mood(cut(pictures, faces, MOOD_BOX, MOOD_SIZE))}
        return {name: found.log_softmax(-1) for name, found in odds.items()}

    def told(self, person_BC: Tensor, dress_BC: Tensor, scene_BC: Tensor) -> dict[str, Tensor]:
        """Odds [B, K] of the person's and the scene's attributes."""
        all_BC = torch.cat([person_BC, dress_BC, scene_BC], 1)
        odds = {name: self.heads[name](all_BC) for name in PERSON_ATTRIBUTES}
        return odds | {name: self.heads[name](scene_BC) for name in SCENE_ATTRIBUTES}

    @torch.no_grad()
    def describe(
        self, frames_TYX3: Bytes, count: int = NUM_MOMENTS, faces_M3: NDArray[np.float32] | None = None
    ) -> Floats:
        """[V]: the person in numbers of unit variance, mean over `count` frames, whose faces are `faces_M3`."""
        chosen = moments(frames_TYX3, count)
        faces = torch.from_numpy(self.single_faces(chosen) if faces_M3 is None else faces_M3)
        found = self.numbers(self.person(cut(small(chosen), faces, PERSON_BOX, PERSON_SIZE)))
        described: Floats = found.mean(0).double().numpy()
        return described

    def save(self, path: Path, storage: str = "native") -> None:
        """Write the fitted nets; `storage` as in model/weights.py."""
        save({name: value.detach().contiguous() for name, value in self.state_dict().items()}, path, storage=storage)

    def load(self, path: Path) -> Witness:
        """Fill from a file that `save` wrote. Raises WeightsInvalid."""
        load_into(self, path, cast=lambda _: torch.float32, any_float=True)
        return self.eval()


def moments(frames_TYX3: Bytes, count: int = NUM_MOMENTS) -> Bytes:
    """`count` frames at even moments, first and last among them."""
    chosen: Bytes = frames_TYX3[np.linspace(0, len(frames_TYX3) - 1, count).round().astype(int)]
    return chosen


def small(frames_TYX3: Bytes) -> Tensor:
    """[T, 3, HEIGHT, WIDTH] in [-1, 1]; other sizes are brought to it."""
    pictures = torch.from_numpy(np.ascontiguousarray(frames_TYX3)).permute(0, 3, 1, 2).float() / 127.5 - 1
    if pictures.shape[-2:] != (HEIGHT, WIDTH):
        pictures = nnf.interpolate(pictures, (HEIGHT, WIDTH), mode="bilinear", antialias=True)
    return pictures


def quarter(pictures_BCYX: Tensor) -> Tensor:
    """A quarter of the size on both sides."""
    return nnf.avg_pool2d(pictures_BCYX, 4)


def half(pictures_BCYX: Tensor) -> Tensor:
    """Half the size on both sides."""
    return nnf.avg_pool2d(pictures_BCYX, 2)


def to_pixels(found_B3: Tensor) -> Tensor:
    """The locator's numbers as pixels."""
    size = found_B3[:, 2:].clamp(-4, 0).exp() * HEIGHT
    return torch.cat([found_B3[:, :2] * torch.tensor([WIDTH, HEIGHT]), size], 1)


def cut(
    pictures_BCYX: Tensor, faces_B3: Tensor, box: tuple[float, float, float, float], size: tuple[int, int]
) -> Tensor:
    """Cut-outs [B, 3, *size] of the box around each mouth, in face heights; outside the picture: mid grey."""
    left, top, right, bottom = box
    rows, columns = size
    y = torch.linspace(top, bottom, rows)
    x = torch.linspace(left, right, columns)
    at_x = (faces_B3[:, :1] + x * faces_B3[:, 2:]) / WIDTH * 2 - 1
    at_y = (faces_B3[:, 1:2] + y * faces_B3[:, 2:]) / HEIGHT * 2 - 1
    grid = torch.stack([at_x[:, None, :].expand(-1, rows, -1), at_y[:, :, None].expand(-1, -1, columns)], -1)
    return nnf.grid_sample(pictures_BCYX, grid, align_corners=False)


def flow_features(frames_TYX3: Bytes) -> NDArray[np.float32]:
    """[96]: motion of 3 x 4 fields (x and y), the sum over NUM_MOMENTS frames, its early and late half, its spread.

    A field's motion between two frames is the peak of the phase correlation of its window (Kuglin and Hines 1975).
    """
    grey = nnf.avg_pool2d(small(frames_TYX3), 2).mean(1).numpy()  # [T, 64, 112]
    tops, lefts = (0, 16, 32), (0, 27, 53, 80)
    windows = np.stack([grey[:, y : y + 32, x : x + 32] for y in tops for x in lefts], 1)  # [T, 12, 32, 32]
    windows = (windows - windows.mean((2, 3), keepdims=True)) * np.outer(np.hanning(34)[1:-1], np.hanning(34)[1:-1])
    spectra = np.fft.fft2(windows)
    cross = spectra[1:] * spectra[:-1].conj()
    surface = np.fft.fftshift(np.fft.ifft2(cross / (np.abs(cross) + 1e-2)).real, axes=(2, 3))
    moves = np.stack([_peaks(surface.sum(2)), _peaks(surface.sum(3))], 2)  # [T-1, 12, 2]; x, y
    flat = moves.reshape(len(moves), -1)
    middle = len(flat) // 2
    sums = (flat.sum(0), flat[:middle].sum(0), flat[middle:].sum(0), flat.std(0))
    return np.concatenate(sums).astype(np.float32)


def _peaks(profiles: Floats) -> Floats:
    """Places of the peaks of the last axis from its middle, between samples by the mean of the three around it."""
    best = np.clip(profiles.argmax(-1), 1, profiles.shape[-1] - 2)[..., None]
    near = np.maximum(np.take_along_axis(profiles, best + np.array([-1, 0, 1]), -1), 0)
    shift = (near[..., 2] - near[..., 0]) / (near.sum(-1) + 1e-9)
    return np.asarray(best[..., 0] + shift - profiles.shape[-1] // 2, np.float64)
