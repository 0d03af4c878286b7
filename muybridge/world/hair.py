"""Hair and hats as shells that grow from the head: strands fall from the crown, leave the scalp and hang.

A grid of P strands around the head by R points along each strand, in three nested shells; the fragment shader breaks
the
shells into single hairs. The scalp under each grid point is found once on the base mesh and bound to its triangle,
so the
hair follows every identity. Angles in degrees: azimuth 0 is the front, 90 the character's left; polar 0 is straight up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from . import anatomy
from .anatomy import Floats, Ints

STRANDS = 72
ON_SCALP = 12
FREE = 10
CENTRE = np.array([0.0, 7.55, 0.15], np.float32)

# Polar angle of the hairline by azimuth: forehead, temple, sideburn, over the ear, nape.
_LINE_AT = (0, 20, 33, 42, 50, 56, 62, 68, 76, 86, 105, 140, 180)
_LINE_POLAR = (62, 63, 67, 80, 100, 106, 98, 92, 103, 117, 126, 132, 135)


@dataclass(frozen=True)
class Cut:
    """Numbers of a style. Lengths in dm; `lift` is the height over the scalp at the crown, `side` at the sides."""

    lift: float = 0.14
    side: float = 0.08
    back: float = 0.0  # free length behind
    flank: float = 0.0  # free length beside the face
    fringe: float = 0.0  # free length over the forehead
    quiff: float = 0.0  # extra height over the forehead
    part: float = 0.0  # azimuth shift of the parting, degrees
    wave: float = 0.0
    curl: float = 0.0
    knot: str = ""  # "bun" or "tail"


CUTS: dict[str, Cut] = {
    "buzz cut": Cut(lift=0.05, side=0.035),
    "short hair": Cut(lift=0.27, side=0.11, quiff=0.10, fringe=0.14),
    "swept hair": Cut(lift=0.28, side=0.08, quiff=0.26),
    "side-parted hair": Cut(lift=0.30, side=0.13, quiff=0.16, part=28),
    "bob": Cut(lift=0.30, side=0.24, back=0.75, flank=1.0, part=10),
    "bangs": Cut(lift=0.28, side=0.22, back=1.7, flank=1.4, fringe=0.45),
    "long hair": Cut(lift=0.27, side=0.22, back=3.2, flank=2.1, part=6),
    "long wavy hair": Cut(lift=0.31, side=0.28, back=2.8, flank=2.0, part=-14, wave=0.11),
    "curly hair": Cut(lift=0.46, side=0.38, back=0.55, flank=0.5, curl=0.7, wave=0.05),
    "afro": Cut(lift=0.72, side=0.66, curl=1.0),
    "ponytail": Cut(lift=0.17, side=0.10, knot="tail"),
    "bun": Cut(lift=0.18, side=0.10, knot="bun"),
}


@dataclass(frozen=True)
class HairMesh:
    """position_N3, normal_N3, tangent_N3, strand_N4 (across, along, shell, tip), hang_N2, triangles_F3."""

    position_N3: Floats
    normal_N3: Floats
    tangent_N3: Floats
    strand_N4: Floats
    hang_N2: Floats
    triangles_F3: Ints


def hairline(azimuth: Floats) -> Floats:
    """Polar angle in degrees at which the scalp ends, for azimuths in degrees (any sign)."""
    folded = np.abs((np.asarray(azimuth) + 180) % 360 - 180)
    return np.interp(folded, _LINE_AT, _LINE_POLAR).astype(np.float32)


def directions(azimuth: Floats, polar: Floats) -> Floats:
    """Unit vectors [..., 3] from angles in degrees."""
    a, p = np.radians(azimuth), np.radians(polar)
    return np.stack([np.sin(p) * np.sin(a), np.cos(p), np.sin(p) * np.cos(a)], -1).astype(np.float32)


@cache
def head_triangles() -> Ints:
    """Body triangles [F, 3] (vertex ids V) of the head without ears and without the inner mouth."""
    body = anatomy.load()
    keep = body.group_F == 0
    corners = body.triangles_F3[keep]
    region = body.regions_K5[corners].mean(1)
    middle = body.vertices_V3[body.source_K[corners]].mean(1)
    head = (middle[:, 1] > 4.6) & (np.abs(middle[:, 0]) < 1.6) & (region[:, 4] < 0.4) & (region[:, 1] < 0.4)
    return np.asarray(body.source_K[corners[head]])


Rays = tuple[tuple[float, float, float, float], ...]


@cache
def _cast(rays: Rays, nearest: bool = False) -> tuple[Ints, Floats]:
    """Furthest (or nearest) hit of rays on the base head: vertex triples [n, 3] and barycentric weights [n, 3].

    A ray is (height of the origin on the axis, its z, azimuth, polar angle), dm and degrees.
    """
    table = np.array(rays, np.float32)
    ray_N3 = directions(table[:, 2], table[:, 3])
    triangles = head_triangles()
    vertices = anatomy.load().vertices_V3[triangles]
    edge1, edge2 = vertices[:, 1] - vertices[:, 0], vertices[:, 2] - vertices[:, 0]
    chosen = np.zeros(len(ray_N3), np.int64)
    bary = np.zeros((len(ray_N3), 3), np.float32)
    for index, ray in enumerate(ray_N3):  # Moeller and Trumbore 1997, one ray against all triangles
        start = np.array([0.0, table[index, 0], table[index, 1]], np.float32) - vertices[:, 0]
        p = np.cross(ray, edge2)
        det = (edge1 * p).sum(1)
        det = np.where(np.abs(det) < 1e-9, 1e-9, det)
        u = (start * p).sum(1) / det
        q = np.cross(start, edge1)
        v = (q * ray).sum(1) / det
        t = (edge2 * q).sum(1) / det
        slack = np.minimum(np.minimum(u, v), 1 - u - v)
        score = np.where((slack > -1e-3) & (t > 0), 1 / (t + 1) if nearest else t, -1.0)
        best = int(score.argmax()) if score.max() > 0 else int(np.where(t > 0, slack, -9).argmax())
        chosen[index], bary[index] = best, (1 - u[best] - v[best], u[best], v[best])
    return triangles[chosen].astype(np.int32), bary


def _points(vertices_V3: Floats, rays: Rays) -> Floats:
    triple, bary = _cast(rays)
    return np.asarray((vertices_V3[triple] * bary[..., None]).sum(1))


def on_head(vertices_V3: Floats, azimuth: Floats, polar: Floats) -> Floats:
    """Points of this person's scalp [n, 3] below the given directions (degrees) of the base head."""
    pairs = zip(np.round(azimuth, 3).tolist(), np.round(polar, 3).tolist(), strict=True)
    return _points(vertices_V3, tuple((float(CENTRE[1]), float(CENTRE[2]), a, p) for a, p in pairs))


def on_neck(vertices_V3: Floats, azimuth: Floats, height: Floats) -> Floats:
    """Points of this person's neck [n, 3] at heights of the base mesh, seen from the neck's axis."""
    pairs = zip(np.round(height, 3).tolist(), np.round(azimuth, 3).tolist(), strict=True)
    rays = tuple((y, 0.1, a, 90.0) for y, a in pairs)
    triple, bary = _cast(rays, nearest=True)
    return np.asarray((vertices_V3[triple] * bary[..., None]).sum(1))


def _body_radius(vertices_V3: Floats) -> tuple[NDArray[np.float64], float, float]:
    """Greatest distance of skin from the neck's axis by azimuth (48) and height (40 rows down from the ears)."""
    body = vertices_V3[:13380]
    base = anatomy.load().vertices_V3[:13380]
    keep = (np.abs(base[:, 0]) < 2.3) & (base[:, 1] > 1.0) & (base[:, 1] < 7.6)
    points = body[keep]
    high, low = float(points[:, 1].max()), float(points[:, 1].min())
    radius = np.hypot(points[:, 0], points[:, 2] - 0.1)
    sector = ((np.degrees(np.arctan2(points[:, 0], points[:, 2] - 0.1)) % 360) / 7.5).astype(int) % 48
    row = np.clip(((high - points[:, 1]) / (high - low) * 39).astype(int), 0, 39)
    table = np.zeros((48, 40))
    np.maximum.at(table, (sector, row), radius)
    for _ in range(3):  # fill bins without a vertex from their neighbours
        around = np.maximum(np.roll(table, 1, 0), np.roll(table, -1, 0))
        around[:, 1:] = np.maximum(around[:, 1:], table[:, :-1])
        table = np.where(table == 0, around, table)
    return table, high, low


def _strand_profile(cut: Cut, azimuth: Floats) -> Floats:
    """Free length [P] in dm by azimuth."""
    folded = np.abs((azimuth + 180) % 360 - 180)
    length = np.interp(
        folded,
        (0, 30, 38, 46, 62, 95, 115, 180),
        (
            cut.fringe,
            cut.fringe,
            max(0.6 * cut.fringe, 0.25 * cut.flank),
            0.85 * cut.flank,
            cut.flank,
            cut.flank,
            cut.back,
            cut.back,
        ),
    )
    return length.astype(np.float32)  # fmt: skip


def _normals(grid_PR3: Floats) -> tuple[Floats, Floats]:
    across = np.roll(grid_PR3, -1, 0) - np.roll(grid_PR3, 1, 0)
    along = np.gradient(grid_PR3, axis=1)
    normal = np.cross(along, across)
    outward = grid_PR3 - CENTRE * [0, 0, 1]
    outward[..., 1] = np.maximum(grid_PR3[..., 1] - CENTRE[1], 0)
    flip = np.sign((normal * outward).sum(-1, keepdims=True))
    normal *= np.where(flip == 0, 1, flip)
    along /= np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-6)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    return normal.astype(np.float32), along.astype(np.float32)


def _scalp_grid(vertices_V3: Floats, azimuth: Floats) -> tuple[Floats, Floats, Floats]:
    line = hairline(azimuth)
    share = np.linspace(0.02, 1.0, ON_SCALP) ** 0.85
    polar_PR = line[:, None] * share[None]
    azimuth_PR = np.repeat(azimuth[:, None], ON_SCALP, 1)
    points = on_head(vertices_V3, azimuth_PR.ravel(), polar_PR.ravel()).reshape(len(azimuth), ON_SCALP, 3)
    outward = directions(azimuth_PR, polar_PR)
    # Beside the ears a ray may meet the rim of an ear: no point may stand out from its neighbours around the head.
    reach = ((points - CENTRE) * outward).sum(-1)
    usual = np.median(np.stack([np.roll(reach, k, 0) for k in range(-4, 5)]), 0)
    points = points - outward * np.maximum(reach - 1.04 * usual, 0)[..., None].astype(np.float32)
    return points, outward, share


def grow(vertices_V3: Floats, style: str, seed: int, under_hat: bool = False) -> HairMesh:
    """Hair of a style on a person at rest, flat on top under a hat. Raises KeyError for a style that CUTS lacks."""
    cut = CUTS[style]
    if under_hat:
        cut = replace(cut, lift=0.05, side=0.06, quiff=0.0, fringe=0.0, knot="")
    rng = np.random.default_rng([0x4A, seed])
    azimuth = np.linspace(-180, 180, STRANDS, endpoint=False).astype(np.float32)
    points, outward, share = _scalp_grid(vertices_V3, azimuth)
    folded = np.abs(azimuth)
    top = np.clip(1 - share, 0, 1)[None] ** 0.6
    around = np.interp(folded, (0, 50, 90, 180), (1, 0.9, 1, 1))[:, None]
    lift = (cut.side + (cut.lift - cut.side) * top) * around
    front = np.exp(-((folded / 42) ** 2))[:, None]
    lift = lift + cut.quiff * front * np.exp(-(((share - 0.80) / 0.22) ** 2))[None]
    if cut.part:
        gap = (azimuth - cut.part + 180) % 360 - 180
        valley = np.exp(-((gap / 7) ** 2))[:, None] * np.clip(share * 2.2, 0, 1)[None] * (folded < 80)[:, None]
        lift = lift * (1 - 0.72 * valley) + 0.06 * np.clip(gap / 40, -1, 1)[:, None] * front
    hem = np.clip((1 - share) / (0.16 + 0.5 * cut.curl), 0, 1)[None] ** (0.5 + 0.5 * (cut.curl < 0.1))
    length = _strand_profile(cut, azimuth) * (1 + rng.normal(0, 0.05, STRANDS).astype(np.float32))
    rooted = np.where((length > 0.15)[:, None], np.maximum(hem, 0.55), np.maximum(hem, 0.12))
    lift = lift * rooted * (1 + (0.05 + 0.13 * cut.curl) * _lumps(rng))
    shells, indices = [], []
    for level in (1.0, 0.0):  # outer first: what it covers is not shaded again
        scale = np.maximum(lift, 0.012) * (0.55 + 0.45 * level) + 0.006 * level
        grid = points + outward * scale[..., None].astype(np.float32)
        full = _hang(vertices_V3, grid, azimuth, length, cut, level, rng)
        shells.append(shell(full, length, level))
        indices.append(grid_triangles(STRANDS, full.shape[1]))
    extra = _knot(vertices_V3, cut, rng)
    return join([*shells, *extra[0]], [*indices, *extra[1]])


def _lumps(rng: np.random.Generator) -> Floats:
    """Smooth unevenness [P, R] of unit strength that closes around the head and fades at the crown."""
    turn = np.linspace(0, 2 * np.pi, STRANDS, endpoint=False)[:, None]
    row = np.linspace(0, 1, ON_SCALP)[None]
    total = np.zeros((STRANDS, ON_SCALP))
    for count in (3, 5, 8, 12):
        total += np.cos(count * turn + rng.uniform(0, 6.3) + 4 * row * rng.normal()) * np.sin(
            np.pi * row * rng.uniform(1, 4) + rng.uniform(0, 3)
        )
    return (total * np.clip(row * 3, 0, 1) / 1.4).astype(np.float32)


def _hang(
    vertices_V3: Floats, grid: Floats, azimuth: Floats, length: Floats, cut: Cut, level: float, rng: np.random.Generator
) -> Floats:
    """Append the free part [P, FREE, 3]: down under gravity, outside of neck, shoulders and forehead."""
    table, high, low = _body_radius(vertices_V3)
    last = grid[:, -1]
    step = (length / FREE)[:, None]
    out = directions(azimuth, np.full(len(azimuth), 90.0, np.float32))
    rows: list[Floats] = []
    point = last.copy()
    sector = ((azimuth % 360) / 7.5).astype(int) % 48
    folded = np.abs(azimuth)
    phase = rng.uniform(0, 0.6)
    for index in range(FREE):
        share = (index + 1) / FREE
        push = np.where(folded < 50, 0.30 * (1 - share), 0.22 * (1 - 2.2 * share) * (length > 0.2))[:, None]
        point = point + step * (np.array([0, -1, 0], np.float32) + out * push.astype(np.float32))
        row = np.clip(((high - point[:, 1]) / (high - low) * 39).astype(int), 0, 39)
        reach = table[sector, row] + 0.10 + 0.06 * level
        away = np.hypot(point[:, 0], point[:, 2] - 0.1)
        short = (away < reach) & (folded > 50)
        grow_by = np.where(short, np.minimum(reach - away, 0.5 * step[:, 0] + 0.02), 0)
        point = point + out * grow_by[:, None].astype(np.float32)
        blocked = short & (reach - away > 0.30)  # lies on the shoulder: stop falling
        point[:, 1] = np.where(blocked, rows[-1][:, 1] if rows else last[:, 1], point[:, 1])
        waved = point + out * (
            cut.wave * np.sin(5.5 * share * max(length.max(), 1) / 1.6 + azimuth * 0.11 + phase) * share
        )[:, None].astype(np.float32)
        rows.append(waved.astype(np.float32))
        point = point.astype(np.float32)
    return np.concatenate([grid, np.stack(rows, 1)], 1)


def shell(full: Floats, length: Floats, level: float, rooted: bool = True) -> tuple[Floats, ...]:
    normal, tangent = _normals(full)
    strands, rows = full.shape[:2]
    along = np.repeat(np.linspace(0, 1, rows, dtype=np.float32)[None], strands, 0)
    free = np.clip((np.arange(rows) - ON_SCALP + 1) / FREE, 0, 1)[None] * rooted
    scalp_edge = np.clip((np.arange(rows) - ON_SCALP + 4) / 3, 0, 1)[None]
    tip = np.where((length > 0.05)[:, None], free**2, scalp_edge * 0.95)
    strand = np.stack([
        np.repeat(np.linspace(0, 1, strands, endpoint=False, dtype=np.float32)[:, None], rows, 1),
        along, np.full_like(along, level), tip.astype(np.float32),
    ], -1)  # fmt: skip
    drop = np.clip((CENTRE[1] - 1.0 - full[..., 1]) / 1.4, 0, 1)
    hang = np.stack([0.85 * drop, free * np.minimum(length, 2)[:, None]], -1).astype(np.float32)
    if not rooted:
        hang = np.full_like(hang, 0.5)
        hang[..., 1] = 0
    flat = (full, normal, tangent, strand, hang)
    return tuple(part.reshape(-1, part.shape[-1]).astype(np.float32) for part in flat)


def grid_triangles(columns: int, rows: int) -> Ints:
    j, i = np.meshgrid(np.arange(columns), np.arange(rows - 1), indexing="ij")
    a, b = j * rows + i, ((j + 1) % columns) * rows + i
    return np.stack([a, b, a + 1, b, b + 1, a + 1], -1).reshape(-1, 3).astype(np.int32)


def tube(path_R3: Floats, radius_R: Floats, columns: int = 20) -> Floats:
    angle = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    along = np.gradient(path_R3, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
    side = np.cross(along, [1.0, 0.02, 0.0])
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-6)
    other = np.cross(along, side)
    ring = np.cos(angle)[:, None, None] * side + np.sin(angle)[:, None, None] * other
    return np.asarray((path_R3[None] + ring * radius_R[None, :, None]), np.float32)


def _knot(vertices_V3: Floats, cut: Cut, rng: np.random.Generator) -> tuple[list[tuple[Floats, ...]], list[Ints]]:
    """A bun or a tail behind the crown, as a tube of strands."""
    if not cut.knot:
        return [], []
    polar = np.array([62.0 if cut.knot == "bun" else 74.0], np.float32)
    root = on_head(vertices_V3, np.array([180.0], np.float32), polar)[0]
    outward = directions(np.array([180.0], np.float32), polar)[0]
    t = np.linspace(0, 1, 14)[:, None]
    if cut.knot == "bun":
        path = root + outward * (t * 0.72 - 0.06)
        radius = 0.40 * np.sqrt(np.clip(1 - (2 * t[:, 0] - 1) ** 2, 0.0, 1)) + 0.01
    else:
        sag = np.array([0.0, -1.0, 0.0])
        path = root + outward * (0.45 * np.sin(t * 2.2)) + sag * (2.3 * t**1.6)
        radius = 0.13 + 0.15 * np.sin(np.pi * np.clip(t[:, 0], 0, 1) ** 0.8) * (1 - 0.4 * t[:, 0])
    grid = tube(path.astype(np.float32), (radius * rng.uniform(0.9, 1.1)).astype(np.float32))
    parts, indices = [], []
    for level in (0.6, 0.0):
        middle = path[None].astype(np.float32)
        full = middle + (grid - middle) * (1 + 0.10 * level)
        parts.append(_shell_of_tube(full, cut.knot == "tail", level))
        indices.append(grid_triangles(grid.shape[0], grid.shape[1]))
    return parts, indices


def _shell_of_tube(full: Floats, tail: bool, level: float) -> tuple[Floats, ...]:
    columns, rows = full.shape[:2]
    middle = full.mean(0, keepdims=True)
    normal = full - middle
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    tangent = np.gradient(full, axis=1) if tail else np.cross(normal, [0.0, 0.0, 1.0])
    tangent /= np.maximum(np.linalg.norm(tangent, axis=-1, keepdims=True), 1e-6)
    across = np.repeat(np.linspace(0, 0.35, columns)[:, None], rows, 1)
    along = np.repeat(np.linspace(0, 1, rows)[None], columns, 0)
    tip = along**3 if tail else np.zeros_like(along)
    strand = np.stack([across, along, np.full_like(along, level), tip], -1)
    hang = np.stack([0.3 * along * tail, 1.2 * along * tail], -1)
    return tuple(p.reshape(-1, p.shape[-1]).astype(np.float32) for p in (full, normal, tangent, strand, hang))


def join(parts: list[tuple[Floats, ...]], indices: list[Ints]) -> HairMesh:
    offsets = np.cumsum([0, *[len(part[0]) for part in parts]])[:-1]
    triangles = np.concatenate([faces + offset for faces, offset in zip(indices, offsets, strict=True)])
    columns = [np.concatenate([part[k] for part in parts]) for k in range(5)]
    position, normal, tangent, strand, hang = columns
    return HairMesh(position, normal, tangent, strand, hang, triangles.astype(np.int32))
