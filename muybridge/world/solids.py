"""A small kit of textured solids: boxes, tubes, balls, terrain and cards, collected into one mesh.

A vertex has 13 floats: position 3, normal 3, uv 2, colour 3 (linear), material layer, emission; then sway (14th).
Lengths in decimetres, y up.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from .anatomy import Floats, Ints
from .textures import MATERIAL_INDEX

RGB = tuple[float, float, float]
FLOATS = 14


class Solids:
    """Collects triangles; `mesh()` gives the vertices [N, 14] and triangles [F, 3]."""

    def __init__(self) -> None:
        self._vertices: list[Floats] = []
        self._faces: list[Ints] = []
        self._count = 0

    def add(
        self,
        position_N3: ArrayLike,
        normal_N3: ArrayLike,
        uv_N2: ArrayLike,
        faces_F3: ArrayLike,
        color: RGB | Floats,
        material: str = "plain",
        emission: float = 0.0,
        sway: ArrayLike = 0.0,
    ) -> None:
        """Append a mesh; `color` is one RGB or one per vertex, `sway` how far wind moves a vertex (dm)."""
        position = np.asarray(position_N3, np.float32)
        n = len(position)
        out = np.zeros((n, FLOATS), np.float32)
        out[:, 0:3], out[:, 3:6], out[:, 6:8] = position, normal_N3, uv_N2
        out[:, 8:11] = color
        out[:, 11], out[:, 12], out[:, 13] = MATERIAL_INDEX[material], emission, sway
        self._vertices.append(out)
        self._faces.append(np.asarray(faces_F3, np.int32) + self._count)
        self._count += n

    def quad(
        self, corner: ArrayLike, right: ArrayLike, up: ArrayLike, color: RGB, material: str = "plain",
        scale: float | None = None, emission: float = 0.0, sway: float = 0.0,
    ) -> None:  # fmt: skip
        """A parallelogram; uv 0..1 over it, or one texture per `scale` dm."""
        c, r, u = (np.asarray(v, np.float32) for v in (corner, right, up))
        normal = np.cross(r, u)
        normal /= max(float(np.linalg.norm(normal)), 1e-9)
        points = np.stack([c, c + r, c + r + u, c + u])
        wide, tall = (
            (1.0, 1.0) if scale is None else (float(np.linalg.norm(r)) / scale, float(np.linalg.norm(u)) / scale)
        )
        uv = [(0, 0), (wide, 0), (wide, tall), (0, tall)]
        self.add(
            points,
            np.repeat(normal[None], 4, 0),
            uv,
            [(0, 1, 2), (0, 2, 3)],
            color,
            material,
            emission,
            [0, 0, sway, sway],
        )

    def box(
        self, centre: ArrayLike, size: ArrayLike, color: RGB, material: str = "plain", scale: float = 10.0,
        emission: float = 0.0, turn: float = 0.0,
    ) -> None:  # fmt: skip
        """A box of `size` (x, y, z) about `centre`, turned about y."""
        x, y, z = (np.asarray(size, np.float32) / 2).tolist()
        cx, cy, cz = np.asarray(centre, np.float32).tolist()
        c, s = np.cos(turn), np.sin(turn)

        def at(p: tuple[float, float, float]) -> tuple[float, float, float]:
            return (cx + c * p[0] + s * p[2], cy + p[1], cz - s * p[0] + c * p[2])

        def way(p: tuple[float, float, float]) -> tuple[float, float, float]:
            return (c * p[0] + s * p[2], p[1], -s * p[0] + c * p[2])

        for corner, right, up in (
            ((-x, -y, z), (2 * x, 0, 0), (0, 2 * y, 0)), ((x, -y, -z), (-2 * x, 0, 0), (0, 2 * y, 0)),
            ((x, -y, z), (0, 0, -2 * z), (0, 2 * y, 0)), ((-x, -y, -z), (0, 0, 2 * z), (0, 2 * y, 0)),
            ((-x, y, z), (2 * x, 0, 0), (0, 0, -2 * z)), ((-x, -y, -z), (2 * x, 0, 0), (0, 0, 2 * z)),
        ):  # fmt: skip
            self.quad(at(corner), way(right), way(up), color, material, scale, emission)

    def tube(
        self, path_R3: ArrayLike, radius_R: ArrayLike, color: RGB | Floats, material: str = "plain", columns: int = 12,
        squash: float = 1.0, emission: float = 0.0, closed: bool = True,
    ) -> None:  # fmt: skip
        """A round body along a path; `squash` scales its width across the up direction."""
        position, normal, uv, faces = tube_mesh(
            np.asarray(path_R3, np.float32), np.asarray(radius_R, np.float32), columns, squash
        )
        self.add(position, normal, uv, faces, color, material, emission)
        if closed:
            path = np.asarray(path_R3, np.float32)
            for end, ring, way in ((path[0], 0, path[0] - path[1]), (path[-1], len(path) - 1, path[-1] - path[-2])):
                rim = position.reshape(len(path), columns, 3)[ring]
                points = np.concatenate([rim, end[None]])
                fan = [(k, (k + 1) % columns, columns) for k in range(columns)]
                flat = np.repeat((way / max(float(np.linalg.norm(way)), 1e-9))[None], columns + 1, 0)
                self.add(
                    points,
                    flat,
                    np.zeros((columns + 1, 2)),
                    fan,
                    color if isinstance(color, tuple) else color[0],
                    material,
                    emission,
                )

    def ball(
        self, centre: ArrayLike, radius: ArrayLike, color: RGB, material: str = "plain", rings: int = 12,
        columns: int = 18,
        lumps: float = 0.0, seed: int = 0, emission: float = 0.0, sway: float = 0.0, repeat: float = 2.0,
    ) -> None:  # fmt: skip
        """An ellipsoid; `lumps` makes it uneven, for bushes and rocks."""
        theta, phi = np.meshgrid(
            np.linspace(0.02, np.pi - 0.02, rings), np.linspace(0, 2 * np.pi, columns), indexing="ij"
        )
        unit = np.stack([np.sin(theta) * np.cos(phi), np.cos(theta), np.sin(theta) * np.sin(phi)], -1).reshape(-1, 3)
        rng = np.random.default_rng([0xBA11, seed])
        swell = np.zeros(len(unit))
        for _ in range(6):
            swell += np.sin(unit @ rng.normal(0, 3.2, 3) + rng.uniform(0, 6))
        scale = np.asarray(radius, np.float32) * (1 + lumps * swell[:, None] / 3)
        j, i = np.meshgrid(np.arange(columns - 1), np.arange(rings - 1))
        a = (i * columns + j).ravel()
        faces = np.concatenate(
            [np.stack([a, a + columns, a + 1], 1), np.stack([a + 1, a + columns, a + columns + 1], 1)]
        )
        uv = np.stack([phi.ravel() / np.pi * repeat / 2, theta.ravel() / np.pi * repeat / 2], 1)
        self.add(np.asarray(centre) + unit * scale, unit, uv, faces, color, material, emission, sway)

    def terrain(
        self, width: float, near: float, far: float, height: Callable[[Floats, Floats], Floats],
        color: RGB | Callable[[Floats], Floats],
        material: str, scale: float, cells: int = 48, rows: int = 0,
    ) -> None:  # fmt: skip
        """Ground from x -width..width and z near..far (near > far) at height(x, z)."""
        deep = rows or cells  # small triangles are dear in software: a far ridge needs few rows
        x, z = np.meshgrid(np.linspace(-width, width, cells), np.linspace(near, far, deep), indexing="ij")
        y = height(x, z)
        dy_dx = np.gradient(y, axis=0) / np.maximum(np.gradient(x, axis=0), 1e-6)
        dy_dz = np.gradient(y, axis=1) / np.minimum(np.gradient(z, axis=1), -1e-6)
        normal = np.stack([-dy_dx, np.ones_like(y), -dy_dz], -1)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        position = np.stack([x, y, z], -1).reshape(-1, 3)
        j, i = np.meshgrid(np.arange(deep - 1), np.arange(cells - 1))
        a = (i * deep + j).ravel()
        faces = np.concatenate([np.stack([a, a + deep, a + 1], 1), np.stack([a + 1, a + deep, a + deep + 1], 1)])
        shade: RGB | Floats = color(position) if callable(color) else color
        self.add(position, normal.reshape(-1, 3), position[:, (0, 2)] / scale, faces, shade, material)

    def card(
        self,
        foot: ArrayLike,
        width: float,
        height: float,
        color: RGB,
        material: str,
        sway: float = 0.0,
        emission: float = 0.0,
    ) -> None:
        """An upright picture that faces the front, standing on `foot`; its light comes from above and the front."""
        x, y, z = np.asarray(foot, np.float32).tolist()
        points = [
            (x - width / 2, y, z),
            (x + width / 2, y, z),
            (x + width / 2, y + height, z),
            (x - width / 2, y + height, z),
        ]
        normal = np.repeat(np.array([[0.0, 0.6, 0.8]]), 4, 0)
        self.add(
            points,
            normal,
            [(0.004, 0.004), (0.996, 0.004), (0.996, 0.996), (0.004, 0.996)],
            [(0, 1, 2), (0, 2, 3)],
            color,
            material,
            emission,
            [0, 0, sway, sway],
        )

    def mesh(self) -> tuple[Floats, Ints]:
        """Vertices [N, 14] and triangles [F, 3]."""
        if not self._vertices:
            return np.zeros((0, FLOATS), np.float32), np.zeros((0, 3), np.int32)
        return np.concatenate(self._vertices), np.concatenate(self._faces)


def tube_mesh(
    path_R3: Floats, radius_R: Floats, columns: int, squash: float | Floats = 1.0
) -> tuple[Floats, Floats, Floats, Ints]:
    """Rings along a path: positions, normals, uv, triangles. `radius` may be [R]; `squash` narrows it sideways."""
    rows = len(path_R3)
    along = np.gradient(path_R3, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    hint = np.where(np.abs(along[:, 2:3]) > 0.9, np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 0.0, 1.0]]))
    up = np.cross(hint, along)
    up /= np.maximum(np.linalg.norm(up, axis=1, keepdims=True), 1e-9)
    side = np.cross(along, up)
    angle = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    ring = np.cos(angle)[None, :, None] * up[:, None] + np.sin(angle)[None, :, None] * side[:, None] * np.reshape(
        squash, (-1, 1, 1)
    )
    position = path_R3[:, None] + ring * radius_R[:, None, None]
    normal = (
        np.cos(angle)[None, :, None] * up[:, None] * np.reshape(squash, (-1, 1, 1))
        + np.sin(angle)[None, :, None] * side[:, None]
    )
    slope = np.gradient(radius_R) / np.maximum(np.linalg.norm(np.gradient(path_R3, axis=0), axis=1), 1e-6)
    normal = normal - np.clip(slope, -3, 3)[:, None, None] * along[:, None]
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    u = np.repeat((np.arange(columns) / columns * 2)[None], rows, 0)
    v = np.repeat(
        np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path_R3, axis=0), axis=1))])[:, None] / 6, columns, 1
    )
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    faces = np.concatenate(
        [np.stack([a, b, a + columns], -1).reshape(-1, 3), np.stack([b, b + columns, a + columns], -1).reshape(-1, 3)]
    )
    uv = np.stack([u, v], -1).reshape(-1, 2).astype(np.float32)
    flat = position.reshape(-1, 3).astype(np.float32), normal.reshape(-1, 3).astype(np.float32)
    return flat[0], flat[1], uv, faces.astype(np.int32)
