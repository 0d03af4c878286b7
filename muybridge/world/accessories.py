"""Collars, hats and glasses: the small real geometry that a painted body suit lacks.

All come as HairMesh, because the hair program draws them (as cloth or as a shiny frame) and moves them with a bone.
"""

from __future__ import annotations

import numpy as np

from . import anatomy
from .anatomy import Floats
from .hair import ON_SCALP, STRANDS, HairMesh, directions, grid_triangles, join, on_head, on_neck, shell, tube


def collar(vertices_V3: Floats, kind: str) -> HairMesh:
    """A shirt's collar, a rolled collar or a hood lying on the shoulders, around the neck; drawn as cloth."""
    gap = {"shirt": 16.0, "roll": 0.0, "hood": 26.0}[kind]
    azimuth = np.linspace(gap, 360 - gap, 49 if gap else 48, endpoint=bool(gap)).astype(np.float32)
    out = directions(azimuth, np.full(len(azimuth), 90.0, np.float32))
    up = np.array([0, 1, 0], np.float32)
    back = (0.5 - 0.5 * np.cos(np.radians(azimuth)))[:, None].astype(np.float32)
    height = np.interp(np.minimum(azimuth, 360 - azimuth), (0, 35, 90, 180), (5.45, 5.6, 5.86, 5.95)).astype(np.float32)
    low, high = on_neck(vertices_V3, azimuth, height), on_neck(vertices_V3, azimuth, height + 0.22)
    if kind == "shirt":
        crest = high + out * 0.05 + up * (0.04 + 0.04 * back)
        rows = [
            low + out * 0.04 - up * 0.05,
            crest - up * 0.04,
            crest,
            crest + out * 0.05,
            low + out * (0.20 + 0.03 * back) - up * (0.10 - 0.06 * back),
        ]
    elif kind == "roll":
        top = on_neck(vertices_V3, azimuth, height + 0.38)
        rows = [
            low + out * 0.14 - up * 0.12,
            low + out * 0.10,
            high + out * 0.09,
            top + out * 0.10,
            top + out * 0.06 + up * 0.03,
            top + out * 0.0,
        ]
    else:
        rows = [low + out * 0.02, low + out * 0.06 + up * (0.03 + 0.16 * back),
            low + out * (0.14 + 0.22 * back) + up * (0.05 + 0.26 * back),
                low + out * (0.24 + 0.50 * back) - up * (0.06 - 0.12 * back),
                low + out * (0.22 + 0.40 * back) - up * (0.22 + 0.30 * back)]  # fmt: skip
    full = np.stack(rows, 1).astype(np.float32)
    part = shell(full, np.zeros(len(azimuth), np.float32), 1.0, rooted=False)
    faces = grid_triangles(len(azimuth), len(rows))
    if gap:
        faces = faces[: -2 * (len(rows) - 1)]  # open in front
    return join([part], [faces])


def hat(vertices_V3: Floats, kind: str) -> HairMesh:
    """A beanie, a cap with a visor or a sun hat over the crown; the same layout as hair, drawn as cloth."""
    azimuth = np.linspace(-180, 180, STRANDS, endpoint=False).astype(np.float32)
    reach = {"beanie": 76.0, "cap": 66.0, "sun hat": 66.0}[kind]
    folded = np.abs(azimuth)
    line = np.interp(folded, (0, 60, 100, 180), (reach - 12, reach, reach + 6, reach + 24)).astype(np.float32)
    share = np.linspace(0.02, 1.0, ON_SCALP)
    polar = line[:, None] * share[None]
    azimuth_PR = np.repeat(azimuth[:, None], ON_SCALP, 1)
    points = on_head(vertices_V3, azimuth_PR.ravel(), polar.ravel()).reshape(STRANDS, ON_SCALP, 3)
    height = 0.30 if kind == "beanie" else 0.26
    grid = points + directions(azimuth_PR, polar) * (0.17 + (height - 0.17) * (1 - share))[None, :, None].astype(
        np.float32
    )
    brim = grid[:, -1:]
    out = directions(azimuth, np.full(STRANDS, 90.0, np.float32))[:, None]
    if kind == "beanie":
        rows = [brim + out * 0.05, brim + out * 0.05 + [0, 0.28, 0], brim + np.array([0, 0.30, 0])]
    else:
        width = (
            np.where(folded < 62, np.cos(np.radians(folded * 90 / 62)) * 0.85, 0)
            if kind == "cap"
            else np.full(STRANDS, 1.15)
        )
        slope = -0.16 if kind == "cap" else -0.22
        rows = [brim + (out * k + [0, slope * k, 0]) * width[:, None, None] for k in (0.35, 0.7, 1.0)]
    full = np.concatenate([grid, *rows], 1).astype(np.float32)
    part = shell(full, np.zeros(STRANDS, np.float32), 1.0)
    return join([part], [grid_triangles(STRANDS, full.shape[1])])


def glasses(vertices_V3: Floats, seed: int) -> HairMesh:
    """Two rims before the eyes, a bridge and temples to the ears; round or square by the seed."""
    body = anatomy.load()
    exponent = 2.0 if seed % 2 else 4.0
    parts, indices = [], []
    rims = []
    for side, group in ((1.0, "helper-l-eye"), (-1.0, "helper-r-eye")):
        ids = np.unique(body.source_K[body.triangles_F3[body.group_F == anatomy.GROUPS.index(group)]])
        eye = vertices_V3[ids]
        centre = eye.mean(0) + np.array([0.02 * side, -0.03, 0.0], np.float32)
        front = float(eye[:, 2].max()) + 0.16
        angle = np.linspace(0, 2 * np.pi, 29)
        c, s = np.cos(angle), np.sin(angle)
        x = np.sign(c) * np.abs(c) ** (2 / exponent) * 0.245
        y = np.sign(s) * np.abs(s) ** (2 / exponent) * 0.175
        bow = front - 0.16 * (np.abs(centre[0] + x) / 0.6) ** 2
        rims.append((centre, float(front), np.stack([centre[0] + x, centre[1] + y, bow], 1)))
    base = body.vertices_V3[:13380]
    at_ear = (np.abs(base[:, 2] - 0.5) < 0.1) & (np.abs(base[:, 1] - 7.25) < 0.12)
    ear = float(vertices_V3[:13380][at_ear, 0].max())
    left, right = rims
    bridge = np.stack(
        [
            np.linspace(right[2][0, 0], left[2][14, 0], 5),
            left[0][1] + 0.05 + 0.03 * np.array([0, 0.8, 1, 0.8, 0]),
            np.full(5, left[1]),
        ],
        1,
    )
    paths = [left[2], right[2], bridge]
    for side, rim in ((1.0, left), (-1.0, right)):
        outer = rim[2][0 if side > 0 else 14]
        end = np.array([side * (ear - 0.10), outer[1] + 0.06, 0.42])
        paths.append(
            np.stack([outer + (end - outer) * t for t in np.linspace(0, 1, 6)])
            + np.array([side * 0.05, 0, 0]) * np.sin(np.linspace(0, np.pi, 6))[:, None]
        )
    for path in paths:
        grid = tube(path.astype(np.float32), np.full(len(path), 0.022, np.float32), 6)
        normal = grid - path[None].astype(np.float32)
        normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
        flat = (grid, normal, np.gradient(grid, axis=1), np.zeros((*grid.shape[:2], 4)), np.zeros((*grid.shape[:2], 2)))
        parts.append(tuple(p.reshape(-1, p.shape[-1]).astype(np.float32) for p in flat))
        indices.append(grid_triangles(grid.shape[0], grid.shape[1]))
    return join(parts, indices)
