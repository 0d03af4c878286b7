"""Matrices of space and view, column vectors, right-handed; angles in radians, lengths in decimetres."""

from __future__ import annotations

import numpy as np

from .anatomy import Floats


def turn_x(angle: float) -> Floats:
    """Rotation [3, 3] about x: positive tips +y towards +z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]], np.float32)


def turn_y(angle: float) -> Floats:
    """Rotation [3, 3] about y: positive turns +z towards +x."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)


def turn_z(angle: float) -> Floats:
    """Rotation [3, 3] about z: positive turns +x towards +y."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)


def placed(turn: Floats, at: tuple[float, float, float] | Floats) -> Floats:
    """A 4x4 matrix from a rotation and a place."""
    out = np.eye(4, dtype=np.float32)
    out[:3, :3] = turn
    out[:3, 3] = at
    return out


def look_at(eye: Floats, target: Floats, roll: float = 0.0) -> Floats:
    """View matrix [4, 4] of a camera at `eye` that looks at `target`."""
    forward = np.asarray(target, np.float64) - eye
    forward /= np.linalg.norm(forward)
    side = np.cross(forward, [np.sin(roll), np.cos(roll), 0.0])
    side /= np.linalg.norm(side)
    up = np.cross(side, forward)
    out = np.eye(4)
    out[0, :3], out[1, :3], out[2, :3] = side, up, -forward
    out[:3, 3] = -out[:3, :3] @ np.asarray(eye, np.float64)
    return out.astype(np.float32)


def perspective(field: float, aspect: float, near: float, far: float) -> Floats:
    """Projection [4, 4]; `field` is the vertical angle, aspect = width / height."""
    f = 1 / np.tan(field / 2)
    out = np.zeros((4, 4), np.float32)
    out[0, 0], out[1, 1] = f / aspect, f
    out[2, 2], out[2, 3] = (far + near) / (near - far), 2 * far * near / (near - far)
    out[3, 2] = -1
    return out


def orthographic(half: float, near: float, far: float) -> Floats:
    """Parallel projection [4, 4] of a cube's width 2*half."""
    out = np.eye(4, dtype=np.float32)
    out[0, 0] = out[1, 1] = 1 / half
    out[2, 2], out[2, 3] = -2 / (far - near), -(far + near) / (far - near)
    return out


def project(view_projection: Floats, points_N3: Floats, width: int, height: int) -> Floats:
    """Pixel places [N, 3] of world points: x right, y down (centre of the first pixel is .5), depth in dm (w)."""
    flat = points_N3.reshape(-1, 3)
    clip = np.concatenate([flat, np.ones((len(flat), 1), np.float32)], 1) @ view_projection.T
    ndc = clip[:, :2] / np.maximum(clip[:, 3:], 1e-6)
    out = np.stack([(ndc[:, 0] * 0.5 + 0.5) * width, (0.5 - ndc[:, 1] * 0.5) * height, clip[:, 3]], 1)
    return out.reshape(points_N3.shape).astype(np.float32)
