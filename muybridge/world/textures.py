"""Textures painted by numpy once per process: tileable noise and a stack of 256x256 materials with mipmaps."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import moderngl
import numpy as np

from . import gl
from .anatomy import Floats

SIZE = 256


@cache
def tile_noise(seed: int, size: int, cells: int, octaves: int = 4, gain: float = 0.55) -> Floats:
    """Value noise [size, size] in 0..1 that repeats at its edges; `cells` per side at the coarsest octave."""
    rng = np.random.default_rng([0x7E, seed])
    total, amplitude = np.zeros((size, size)), 1.0
    for octave in range(octaves):
        n = min(cells << octave, size)
        grid = rng.random((n, n))
        at = np.arange(size) * n / size
        i, f = at.astype(int) % n, at % 1
        f = f * f * (3 - 2 * f)
        j = (i + 1) % n
        rows = grid[i] * (1 - f[:, None]) + grid[j] * f[:, None]
        total += amplitude * (rows[:, i] * (1 - f) + rows[:, j] * f)
        amplitude *= gain
    low, high = np.percentile(total, (0.5, 99.5))
    return np.asarray(np.clip((total - low) / (high - low), 0, 1), np.float32)


@cache
def noise_texture() -> moderngl.Texture:
    """Four channels of independent noise, 256x256, repeating, mipmapped: noise4() of the shaders."""
    layers = [tile_noise(k, SIZE, 8, 5, 0.62) for k in range(4)]
    data = (np.stack(layers, -1) * 255).astype(np.uint8)
    texture = gl.context().texture((SIZE, SIZE), 4, data.tobytes())
    texture.build_mipmaps()
    texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
    texture.repeat_x = texture.repeat_y = True
    return texture


@cache
def strand_texture() -> moderngl.Texture:
    """Hair along v: coverage of single hairs, their tone, the tone of locks, glitter; 512 x 256, repeating,
    mipmapped."""
    rng = np.random.default_rng([0x7E, 99])

    def combed(cells: int, keep: float) -> Floats:
        line = np.repeat(rng.random(cells), 512 // cells)
        line = 0.5 * line + 0.25 * np.roll(line, 1) + 0.25 * np.roll(line, -1)
        bend = (tile_noise(71 + cells, 256, 4, 2) - 0.5) * 512 / cells * 1.6
        at = (np.arange(512)[None] + np.repeat(bend, 2, 1)) % 512
        return np.asarray(
            (line[at.astype(int)] * keep + (1 - keep) * np.repeat(tile_noise(90 + cells, 256, 16, 3), 2, 1)), np.float32
        )

    fine, lock = combed(256, 0.75), combed(32, 0.7)
    layers = [0.55 * fine + 0.45 * combed(64, 0.7), fine, lock, combed(128, 0.6)]
    stretched = [np.clip((x - x.mean()) / (x.std() * 4.2) + 0.5, 0, 1) for x in layers]
    texture = gl.context().texture((512, 256), 4, (np.stack(stretched, -1) * 255).astype(np.uint8).tobytes())
    texture.build_mipmaps()
    texture.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
    texture.repeat_x = texture.repeat_y = True
    return texture


def _flat(value: float) -> Floats:
    return np.full((SIZE, SIZE), value, np.float32)


def _grey(detail: Floats, alpha: Floats | None = None) -> Floats:
    return np.stack([detail, detail, detail, _flat(1.0) if alpha is None else alpha], -1)


def _ramp() -> tuple[Floats, Floats]:
    """(y, x) in 0..1, row 0 at the bottom (v = 0)."""
    line = (np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE
    return np.meshgrid(line, line, indexing="ij")


def _lines(coordinate: Floats, count: int, width: float) -> Floats:
    """1 on `count` repeating joints of relative width, 0 elsewhere."""
    phase = coordinate * count % 1.0
    return np.asarray(np.minimum(phase, 1 - phase) < width / 2, np.float32)


def _wood() -> Floats:
    _, x = _ramp()
    plank = np.floor(x * 5)
    tone = np.random.default_rng(5).uniform(0.40, 0.56, 5)[plank.astype(int) % 5]
    grain = tile_noise(11, SIZE, 4)
    streak = tile_noise(12, SIZE, 32)[:, :1].T * 0.10 + 0.12 * np.sin(grain * 18 + x * 40)
    return _grey(np.clip((tone + 0.35 * streak.astype(np.float32)) * (1 - 0.55 * _lines(x, 5, 0.04)), 0, 1))


def _brick() -> Floats:
    y, x = _ramp()
    row = np.floor(y * 10)
    shift = x + 0.1 * (row % 2)
    joint = np.maximum(_lines(y, 10, 0.12), _lines(shift, 5, 0.06))
    tone = np.random.default_rng(6).uniform(0.36, 0.60, (10, 6))[
        row.astype(int) % 10, np.floor(shift * 5).astype(int) % 5
    ]
    return _grey((tone * (0.8 + 0.4 * tile_noise(13, SIZE, 32)) * (1 - joint) + 0.62 * joint).astype(np.float32))


def _tiles() -> Floats:
    y, x = _ramp()
    joint = np.maximum(_lines(y, 6, 0.05), _lines(x, 6, 0.05))
    return _grey((0.52 + 0.08 * tile_noise(14, SIZE, 6)) * (1 - 0.4 * joint))


def _ground(seed: int, cells: int, low: float, high: float, fleck: float = 0.0) -> Floats:
    base = low + (high - low) * tile_noise(seed, SIZE, cells, 5, 0.7)
    speck = (tile_noise(seed + 50, SIZE, 64, 2) > 0.8) * fleck
    return _grey(np.clip(base + speck, 0, 1).astype(np.float32))


def _grass() -> Floats:
    blades = tile_noise(15, SIZE, 32, 3, 0.9)
    patch = tile_noise(16, SIZE, 4)
    shade = 0.22 + 0.5 * blades**1.4
    return np.stack([shade * (0.88 + 0.35 * patch), shade * (1.02 + 0.1 * patch), shade * 0.72, _flat(1)], -1).astype(
        np.float32
    )


def _sand() -> Floats:
    y, _ = _ramp()
    ripple = 0.5 + 0.5 * np.sin(2 * np.pi * (9 * y + 1.6 * (tile_noise(17, SIZE, 4) - 0.5)))
    return _grey((0.42 + 0.08 * ripple + 0.08 * tile_noise(18, SIZE, 64, 2)).astype(np.float32))


def _facade(lit: bool) -> Floats:
    y, x = _ramp()
    rng = np.random.default_rng(8)
    fx, fy = x * 6 % 1, y * 6 % 1
    window = ((fx > 0.24) & (fx < 0.76) & (fy > 0.22) & (fy < 0.80)).astype(np.float32)
    cell = (np.floor(y * 6).astype(int) % 6, np.floor(x * 6).astype(int) % 6)
    bar = (np.abs(fx - 0.5) < 0.03) | (np.abs(fy - 0.55) < 0.03)
    wall = 0.48 + 0.10 * tile_noise(19, SIZE, 16)
    if not lit:
        glass = rng.uniform(0.12, 0.30, (6, 6))[cell] + 0.16 * fy
        tint = np.array([0.85, 1.0, 1.2])
        rgb = wall[..., None] * (1 - window[..., None]) + (glass * window)[..., None] * tint
        rgb *= (1 - 0.4 * bar * window)[..., None]
    else:
        on = (rng.random((6, 6)) < 0.45)[cell] * rng.uniform(0.5, 1.0, (6, 6))[cell]
        warm = np.stack([_flat(1.0), 0.70 + 0.2 * rng.random((6, 6))[cell], 0.36 + 0.3 * rng.random((6, 6))[cell]], -1)
        rgb = (
            0.055 * wall[..., None] * (1 - window[..., None])
            + (window * (0.02 + on * (1 - 0.5 * bar)))[..., None] * warm
        )
    return np.concatenate([rgb, _flat(1)[..., None]], -1).astype(np.float32)


def _blobs(seed: int, count: int, inside: Floats, small: float, large: float) -> tuple[Floats, Floats]:
    """Painted leaf clusters: (tone, coverage). Later clusters are nearer and lighter at their upper edge."""
    rng = np.random.default_rng([0x1EAF, seed])
    y, x = _ramp()
    tone, cover = _flat(0.2), _flat(0)
    for index in range(count):
        cy, cx = rng.random(2)
        if inside[int(cy * (SIZE - 1)), int(cx * (SIZE - 1))] < 0.5:
            continue
        r = rng.uniform(small, large)
        d = np.hypot((x - cx), (y - cy) * rng.uniform(0.9, 1.4)) / r
        d += 0.5 * (tile_noise(seed * 7 + index % 5, SIZE, 32, 2) - 0.5)
        hit = d < 1
        lit = 0.16 + 0.24 * index / count + 0.22 * np.clip((y - cy) / r, -1, 1) + rng.normal(0, 0.03)
        tone = np.where(hit, np.clip(lit, 0.05, 0.9), tone)
        cover = np.where(hit, 1.0, cover)
    return tone.astype(np.float32), cover.astype(np.float32)


def _broadleaf(seed: int) -> Floats:
    y, x = _ramp()
    crown = (((x - 0.5) / 0.44) ** 2 + ((y - 0.64) / 0.33) ** 2 < 1).astype(np.float32)
    tone, cover = _blobs(seed, 300, crown, 0.03, 0.075)
    trunk = (np.abs(x - 0.5 - 0.02 * np.sin(y * 9)) < 0.035 + 0.03 * np.clip(0.12 - y, 0, 1)) & (y < 0.6)
    rgb = tone[..., None] * np.array([0.80, 1.15, 0.42])
    bark = np.array([0.30, 0.21, 0.14]) * (0.6 + 0.5 * tile_noise(21, SIZE, 16))[..., None]
    solid = np.maximum(cover, trunk)
    return np.concatenate([np.where((cover > 0.5)[..., None], rgb, bark), solid[..., None]], -1).astype(np.float32)


def _conifer(seed: int) -> Floats:
    y, x = _ramp()
    tier = (1 - y) * (0.30 + 0.17 * (np.abs((y * 9) % 1 - 0.0)) ** 0.8 * -1 + 0.17)
    jag = 0.06 * (tile_noise(seed, SIZE, 32, 2) - 0.5)
    inside = np.abs(x - 0.5) < tier + jag * (1 - y)
    cover = inside & (y > 0.10) & (y < 0.985)
    trunk = (np.abs(x - 0.5) < 0.025) & (y <= 0.12)
    tone = 0.14 + 0.22 * ((y * 9) % 1) ** 0.7 + 0.25 * (tile_noise(seed + 1, SIZE, 32, 2) - 0.4)
    rgb = np.clip(tone, 0.04, 1)[..., None] * np.array([0.62, 1.0, 0.66])
    rgb = np.where(trunk[..., None], np.array([0.20, 0.13, 0.08]), rgb)
    return np.concatenate([rgb, (cover | trunk)[..., None]], -1).astype(np.float32)


def _palm() -> Floats:
    y, x = _ramp()
    trunk = (np.abs(x - 0.5 - 0.06 * (y - 0.7) * y) < 0.020 + 0.012 * (1 - y)) & (y < 0.72)
    cover, tone = np.zeros((SIZE, SIZE), bool), _flat(0.3)
    for k, angle in enumerate(np.linspace(-0.5, np.pi + 0.5, 13)):
        t = np.linspace(0, 1, 60)
        px = 0.5 + 0.42 * t * np.cos(angle)
        py = 0.72 + 0.30 * t * np.sin(angle) - 0.22 * t**2
        for a, b, s in zip(px, py, t, strict=True):
            hit = (np.abs(x - a) < 0.012 + 0.02 * (1 - s)) & (np.abs(y - b + 0.25 * np.abs(x - a)) < 0.030 * (1.1 - s))
            tone = np.where(hit, 0.22 + 0.022 * k + 0.1 * s, tone)
            cover |= hit
    rgb = np.where(
        cover[..., None],
        tone[..., None] * np.array([0.75, 1.1, 0.4]),
        np.array([0.36, 0.27, 0.18]) * (0.7 + 0.3 * (np.sin(y * 160) > 0))[..., None],
    )
    return np.concatenate([rgb, (cover | trunk)[..., None]], -1).astype(np.float32)


def _tufts() -> Floats:
    rng = np.random.default_rng(31)
    y, x = _ramp()
    cover, tone = np.zeros((SIZE, SIZE), bool), _flat(0.3)
    for k in range(90):
        root, lean, tall = rng.uniform(0.02, 0.98), rng.normal(0, 0.12), rng.uniform(0.35, 0.95)
        hit = (np.abs(x - root - lean * (y / tall) ** 2) < 0.010 * (1 - y / tall)) & (y < tall)
        tone = np.where(hit, 0.20 + 0.3 * y + 0.002 * k, tone)
        cover |= hit
    return np.concatenate([tone[..., None] * np.array([0.9, 1.1, 0.45]), cover[..., None]], -1).astype(np.float32)


def _books() -> Floats:
    rng = np.random.default_rng(33)
    y, x = _ramp()
    rgb = np.zeros((SIZE, SIZE, 3)) + 0.03
    for shelf in range(4):
        at = 0.0
        while at < 1:
            wide, tall = rng.uniform(0.018, 0.05), rng.uniform(0.15, 0.215)
            hit = (x >= at) & (x < at + wide * 0.94) & (y >= shelf / 4 + 0.02) & (y < shelf / 4 + 0.02 + tall)
            color = np.array([rng.uniform(0.08, 0.6), rng.uniform(0.06, 0.42), rng.uniform(0.05, 0.4)])
            band = (np.abs((y - shelf / 4) - rng.uniform(0.05, 0.16)) < 0.008)[..., None] * 0.3
            round_ = (1 - 0.5 * np.abs((x - at) / wide - 0.5) * 2)[..., None]
            rgb = np.where(hit[..., None], color * round_ + band, rgb)
            at += wide
        rgb = np.where((np.abs(y - shelf / 4 - 0.008) < 0.012)[..., None], np.array([0.33, 0.2, 0.1]), rgb)
    return np.concatenate([rgb, _flat(1)[..., None]], -1).astype(np.float32)


def _curtain() -> Floats:
    _, x = _ramp()
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (8 * x + 0.25 * tile_noise(35, SIZE, 4)[:1]))
    return _grey((0.20 + 0.42 * wave**0.8).astype(np.float32) + np.zeros((SIZE, SIZE), np.float32))


def _picture() -> Floats:
    """An abstract painting with a frame."""
    y, x = _ramp()
    a, b, c = (tile_noise(k, SIZE, 3, 2) for k in (37, 38, 39))
    rgb = np.stack([a, b, c], -1) * 0.8 + 0.1
    rgb = np.where((np.hypot(x - 0.4, y - 0.55) < 0.2)[..., None], np.array([0.8, 0.45, 0.1]), rgb)
    edge = (np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) < 0.06)[..., None]
    return np.concatenate([np.where(edge, 0.05, rgb), _flat(1)[..., None]], -1).astype(np.float32)


def _glow() -> Floats:
    """A soft round light: alpha falls with the radius."""
    y, x = _ramp()
    r = np.hypot(x - 0.5, y - 0.5) * 2
    return np.concatenate([np.ones((SIZE, SIZE, 3)) * 0.5, np.clip(1 - r, 0, 1)[..., None] ** 1.5], -1).astype(
        np.float32
    )


def _pavement() -> Floats:
    y, x = _ramp()
    joint = np.maximum(_lines(y, 4, 0.03), _lines(x + 0.125 * (np.floor(y * 4) % 2), 4, 0.03))
    return _grey((0.42 + 0.14 * tile_noise(41, SIZE, 32, 3)) * (1 - 0.4 * joint))


def _keys() -> Floats:
    """Rows of kitchen cupboards with handles."""
    y, x = _ramp()
    gap = np.maximum(_lines(x, 4, 0.03), _lines(y, 1, 0.02))
    fx = x * 4 % 1
    handle = (np.abs(fx - 0.85) < 0.03) & (np.abs(y - 0.5) < 0.14)
    return _grey(np.where(handle, 0.12, 0.5 * (1 - 0.55 * gap) + 0.02 * tile_noise(43, SIZE, 8)).astype(np.float32))


def _leaves() -> Floats:
    tone, cover = _blobs(9, 420, np.ones((SIZE, SIZE), np.float32), 0.02, 0.045)
    hole = tile_noise(45, SIZE, 8, 3) > 0.30
    return np.concatenate([tone[..., None] * np.array([0.8, 1.15, 0.45]), (cover * hole)[..., None]], -1).astype(
        np.float32
    )


MATERIALS: dict[str, Callable[[], Floats]] = {
    "plain": lambda: _ground(60, 8, 0.46, 0.54), "plaster": lambda: _ground(61, 16, 0.44, 0.56), "wood": _wood,
    "brick": _brick,
    "tiles": _tiles, "carpet": lambda: _ground(62, 64, 0.34, 0.62), "grass": _grass, "sand": _sand,
    "snow": lambda: _ground(63, 6, 0.44, 0.56, 0.02), "rock": lambda: _ground(64, 8, 0.20, 0.72),
    "asphalt": lambda: _ground(65, 64, 0.36, 0.58, 0.1),
    "pavement": _pavement, "facade": lambda: _facade(False), "facade lit": lambda: _facade(True),
    "broadleaf": lambda: _broadleaf(1), "broadleaf 2": lambda: _broadleaf(2), "conifer": lambda: _conifer(23),
    "palm": _palm,
    "tufts": _tufts, "leaves": _leaves, "books": _books, "curtain": _curtain, "picture": _picture, "glow": _glow,
    "cupboards": _keys, "bark": lambda: _ground(66, 8, 0.25, 0.65), "dirt": lambda: _ground(67, 16, 0.30, 0.66, 0.08),
    "fur": lambda: _ground(68, 32, 0.40, 0.58),
}  # fmt: skip
MATERIAL_INDEX = {name: index for index, name in enumerate(MATERIALS)}


@cache
def material_stack() -> moderngl.TextureArray:
    """All MATERIALS as one mipmapped texture array; 0.5 is neutral, alpha below one half is cut out."""
    layers = np.stack([np.clip(paint(), 0, 1) for paint in MATERIALS.values()])
    data = (layers * 255).astype(np.uint8)
    stack = gl.context().texture_array((SIZE, SIZE, len(layers)), 4, data.tobytes())
    stack.build_mipmaps()
    stack.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
    stack.repeat_x = stack.repeat_y = True
    return stack
