"""A person on the drawing board: buffers built once, face units and bones applied per frame.

V vertices of the base mesh, K split vertices, n vertices of this drawing, F triangles.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import moderngl
import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from . import accessories, anatomy, garments, gl, hair, textures
from .anatomy import BONE_INDEX, BONES, GROUPS, PARENTS, Floats, Ints
from .characters import CLOTHES_COLORS, HAIR_COLORS, IRIS_COLORS, Identity, Look, rest_shape

# Landmarks: the vertex of the base mesh nearest to each place (dm). A vertex moves with the skin, so it is exact truth.
_MARKS: dict[str, tuple[float, float, float]] = {
    "lip_upper_inner": (0.0, 6.608, 1.553), "lip_lower_inner": (0.0, 6.601, 1.540),
    "lip_upper_outer": (0.0, 6.696, 1.597), "lip_lower_outer": (0.0, 6.4885, 1.5565),
    "mouth_left": (0.2496, 6.60, 1.38), "mouth_right": (-0.2496, 6.60, 1.38),
    "eye_left_outer": (0.452, 7.27, 1.31), "eye_left_inner": (0.17, 7.25, 1.33),
    "eye_right_outer": (-0.452, 7.27, 1.31), "eye_right_inner": (-0.17, 7.25, 1.33),
    "lid_left_upper": (0.31, 7.335, 1.41), "lid_left_lower": (0.31, 7.215, 1.40),
    "lid_right_upper": (-0.31, 7.335, 1.41), "lid_right_lower": (-0.31, 7.215, 1.40),
    "brow_left": (0.33, 7.52, 1.43), "brow_right": (-0.33, 7.52, 1.43),
    "nose_tip": (0.0, 6.92, 1.681), "chin": (0.0, 6.25, 1.47),
}  # fmt: skip
LANDMARKS: tuple[str, ...] = tuple(_MARKS)
ATLAS = 1024
PARTS = ("skin", "eye", "mouth", "lash", "cloth")


@dataclass(frozen=True)
class Pose:
    """One frame of one person: face units [52], bone matrices [18, 4, 4] (world from rest), hair sway [3] dm."""

    units: Floats
    bones: Floats
    sway: Floats


def landmark_vertices() -> Ints:
    """Vertex ids [L] of LANDMARKS on the skin."""
    skin = anatomy.load().vertices_V3[:13380]
    return np.array([np.argmin(((skin - place) ** 2).sum(1)) for place in _MARKS.values()], np.int32)


def bone_matrices(joints_B3: Floats, turns: dict[str, Floats], place: Floats) -> Floats:
    """World matrices [18, 4, 4]: every bone turns by its 3x3 about its joint, then follows its parent."""
    out = np.zeros((len(BONES), 4, 4), np.float32)
    for index, name in enumerate(BONES):
        local = np.eye(4, dtype=np.float32)
        if name in turns:
            local[:3, :3] = turns[name]
            local[:3, 3] = joints_B3[index] - turns[name] @ joints_B3[index]
        out[index] = (place if PARENTS[index] < 0 else out[PARENTS[index]]) @ local
    return out


@cache
def _atlas() -> moderngl.Framebuffer:
    context = gl.context()
    return context.framebuffer([context.texture((ATLAS, ATLAS), 4) for _ in range(3)])


class Person:
    """The drawing of one identity with one look; lives as long as its clip."""

    def __init__(self, identity: Identity, look: Look) -> None:
        body = anatomy.load()
        self.identity, self.look = identity, look
        self.cut = garments.CUTS[look.garment]
        self.rest_V3 = rest_shape(identity)
        self.joints_B3 = np.stack([self.rest_V3[body.joints[name]].mean(0) for name in BONES])
        self.marks = landmark_vertices()
        self._select(body)
        self._buffers(body)
        self._hair()

    def _select(self, body: anatomy.Anatomy) -> None:
        """Triangles of each part as split vertices; skin under cloth is left out, so it can never poke through."""
        middle = body.vertices_V3[body.source_K[body.triangles_F3]].mean(1)
        group = body.group_F
        bare = garments.bare(self.cut, middle)
        keep = {
            "skin": (group == 0) & bare,
            "eye": (group == GROUPS.index("helper-l-eye")) | (group == GROUPS.index("helper-r-eye")),
            "mouth": (group == GROUPS.index("helper-tongue")) | (group == GROUPS.index("teeth")),
            "lash": group == GROUPS.index("lashes"),
            "cloth": group == GROUPS.index("helper-tights"),
        }
        faces = {part: body.triangles_F3[mask] for part, mask in keep.items()}
        self.moved_V = np.flatnonzero(np.abs(body.units_UV3).max((0, 2)) > 1e-4)
        used = np.unique(np.concatenate([part.ravel() for part in faces.values()]))
        moves = np.isin(body.source_K[used], self.moved_V)
        used = np.concatenate([used[moves], used[~moves]])  # moving vertices first: only they are sent again
        self.num_moving = int(moves.sum())
        place = np.zeros(len(body.source_K), np.int32)
        place[used] = np.arange(len(used), dtype=np.int32)
        self.used_K = used
        self.source = body.source_K[used]
        self.faces = {part: place[face] for part, face in faces.items()}

    def _buffers(self, body: anatomy.Anatomy) -> None:
        context = gl.context()
        source = self.source
        every = np.concatenate([self.source[face] for face in self.faces.values()])  # triangles over V
        self._weld_V, inverse = np.unique(every.ravel(), return_inverse=True)
        faces = inverse.reshape(every.shape)
        count = len(faces)
        rows, columns = faces.ravel(), np.repeat(np.arange(count), 3)
        incidence = scipy.sparse.csr_matrix(
            (np.ones(3 * count, np.float32), (rows, columns)), (len(self._weld_V), count)
        )
        moving = np.isin(self._weld_V, self.moved_V)
        touched = np.asarray((incidence[moving] != 0).sum(0)).ravel() > 0
        self._touched = faces[touched]
        self._spread = incidence[moving][:, touched].tocsr()
        lookup = np.full(len(body.vertices_V3), -1, np.int32)
        lookup[self._weld_V] = np.arange(len(self._weld_V))
        position = self.rest_V3[self._weld_V]
        edges = position[faces]
        normal = incidence @ np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        rank = np.full(len(self._weld_V), -1, np.int32)
        rank[moving] = np.arange(int(moving.sum()))
        self._dynamic_weld = rank[lookup[source[: self.num_moving]]]
        self._moving_in_weld = np.flatnonzero(moving)
        self._base = position.astype(np.float32)
        units = body.units_UV3[:, self._weld_V[moving]]
        self._units = units.reshape(len(units), -1)
        shape = np.concatenate([position, normal], 1)[lookup[source]].astype(np.float32)
        self.shape_buffer = context.buffer(shape.tobytes(), dynamic=True)
        extra = body.regions_K5[self.used_K][:, (0, 1, 2, 4)].copy()
        self._eye_extra(body, extra)
        fixed = np.concatenate(
            [body.vertices_V3[source], extra, body.uv_K2[self.used_K], body.bones_V4[source], body.weights_V4[source]],
            1,
        ).astype(np.float32)
        self.fixed_buffer = context.buffer(fixed.tobytes())
        self.index_buffers = {
            part: context.buffer(face.astype(np.int32).tobytes()) for part, face in self.faces.items()
        }
        self.skin_map = self._paint()
        self.arrays = {part: self._array(gl.program("person", part), part) for part in PARTS}
        self.shadow_arrays = {part: self._array(gl.program("person", "depth"), part) for part in ("skin", "cloth")}

    def _natural(self) -> NDArray[np.float64]:
        """Colour of brows and beard: dyed hair does not dye them."""
        dyed = self.look.hair_color in ("blue", "pink")
        return np.array(HAIR_COLORS["dark brown" if dyed else self.look.hair_color])

    def _paint(self) -> moderngl.Texture:
        """Paint the skin once into the body's texture atlas."""
        look, who, context = self.look, self.identity, gl.context()
        target = _atlas()
        target.use()
        red, green, blue = (float(c) ** 0.5 for c in who.skin)
        target.clear(red, green, blue, 0.2)
        natural, tint = self._natural(), np.array(HAIR_COLORS[look.hair_color])
        cover = {"none": (0, 0, 0, 0), "stubble": (0.75, 0, 0, 0), "moustache": (0.2, 1, 0, 0),
                 "goatee": (0.2, 0, 1, 0), "full beard": (0, 0, 0, 1)}[look.beard]  # fmt: skip
        textures.noise_texture().use(0)
        program = gl.program("paint", "paint")
        gl.put(program, noise_map=0, skin_color=who.skin, lip_color=who.lips, brow_color=tuple(natural * 0.55 + 0.004),
               brow_shape=who.brow, beard_color=tuple(natural * 0.6 + 0.004), beard=tuple(map(float, cover)),
               scalp=0.92,
               scalp_color=tuple(tint * 0.8 + 0.002), age=who.age, freckles=who.freckles,
               masculine=who.masculine)  # fmt: skip
        context.disable(moderngl.DEPTH_TEST)
        array = self._array(program, "skin")
        array.render()
        array.release()  # or it keeps the person's buffers for good
        context.enable(moderngl.DEPTH_TEST)
        made = context.texture((ATLAS, ATLAS), 4)
        context.copy_framebuffer(made, target)
        made.build_mipmaps()
        made.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
        return made

    def _array(self, program: moderngl.Program, part: str) -> moderngl.VertexArray:
        columns = {
            "in_rest": 3,
            "in_extra": 4,
            "in_uv": 2,
            "in_bones": 4,
            "in_weights": 4,
        }  # the compiler drops unused inputs
        kept = [name for name in columns if name in program]
        layout = " ".join(f"{size}f" if name in program else f"{4 * size}x" for name, size in columns.items())
        shape_layout = "3f 3f" if "in_normal" in program else "3f 12x"
        shape_names = ("in_position", "in_normal") if "in_normal" in program else ("in_position",)
        buffers = [(self.shape_buffer, shape_layout, *shape_names), (self.fixed_buffer, layout, *kept)]
        return gl.context().vertex_array(
            program, buffers if "in_position" in program else buffers[1:], self.index_buffers[part]
        )

    def _eye_extra(self, body: anatomy.Anatomy, extra: Floats) -> None:
        """Eyes: place in eye radii from the eyeball's centre; teeth and tongue: 1 and 0."""
        self.eye_height = 0.0
        for side in ("helper-l-eye", "helper-r-eye"):
            ids = np.unique(body.triangles_F3[body.group_F == GROUPS.index(side)])
            points = body.vertices_V3[body.source_K[ids]]
            centre, radius = 0.5 * (points.max(0) + points.min(0)), 0.5 * np.ptp(points[:, 1])
            here = np.isin(self.used_K, ids)
            extra[here, :3] = (body.vertices_V3[self.source[here]] - centre) / radius
            self.eye_height += 0.5 * float(self.rest_V3[body.source_K[ids], 1].mean())
        teeth = np.unique(body.triangles_F3[body.group_F == GROUPS.index("teeth")])
        tongue = np.unique(body.triangles_F3[body.group_F == GROUPS.index("helper-tongue")])
        extra[np.isin(self.used_K, teeth)] = 1.0
        extra[np.isin(self.used_K, tongue)] = 0.0

    def _hair(self) -> None:
        """Arrays of (mesh, colour, curl, density, knit) drawn with the hair program."""
        self.strand_buffers: list[moderngl.Buffer] = []
        self.strands: list[tuple[moderngl.VertexArray, tuple[float, float, float], float, float, float, bool]] = []
        look = self.look
        color = HAIR_COLORS[look.hair_color]
        if look.hat != "none":
            knit = 1.0 if look.hat == "beanie" else 2.0
            self._add_strands(
                accessories.hat(self.rest_V3, look.hat), CLOTHES_COLORS[look.hat_color], 0.0, 20.0, knit, True
            )
        style = look.hair_style
        if look.hat != "none" and style not in ("bob", "long hair", "long wavy hair", "bangs", "buzz cut", "ponytail"):
            style = "buzz cut"
        curl = hair.CUTS[style].curl
        self._add_strands(
            hair.grow(self.rest_V3, style, look.hair_seed, look.hat != "none"), color, curl, 30.0, 0.0, True
        )
        if look.glasses:
            self._add_strands(
                accessories.glasses(self.rest_V3, look.hair_seed), (0.02, 0.018, 0.016), 0.0, 20.0, 3.0, True
            )
        if self.cut.collar:
            main = CLOTHES_COLORS[look.color]
            tint = main if self.look.garment != "suit" else CLOTHES_COLORS["white"]
            knit = 1.0 if self.cut.collar == "roll" else 2.0
            self._add_strands(accessories.collar(self.rest_V3, self.cut.collar), tint, 0.0, 20.0, knit, False)

    def _add_strands(
        self,
        mesh: hair.HairMesh,
        color: tuple[float, float, float],
        curl: float,
        density: float,
        knit: float,
        on_head: bool,
    ) -> None:
        context = gl.context()
        data = np.concatenate([mesh.position_N3, mesh.normal_N3, mesh.tangent_N3, mesh.strand_N4, mesh.hang_N2], 1)
        buffer = context.buffer(data.astype(np.float32).tobytes())
        indices = context.buffer(mesh.triangles_F3.tobytes())
        array = context.vertex_array(
            gl.program("hair", "hair"),
            [(buffer, "3f 3f 3f 4f 2f", "in_position", "in_normal", "in_tangent", "in_strand", "in_hang")],
            indices,
        )
        self.strand_buffers += [buffer, indices]
        self.strands.append((array, color, curl, density, knit, on_head))

    def moved(self, units: Floats) -> Floats:
        """Positions [m, 3] of the moving vertices under face units [52]."""
        active = np.flatnonzero(units)
        shift = units[active] @ self._units[active] if len(active) else np.zeros(self._units.shape[1], np.float32)
        return np.asarray(self._base[self._moving_in_weld] + shift.reshape(-1, 3))

    def landmarks(self, pose: Pose) -> Floats:
        """World positions [L, 3] of LANDMARKS."""
        body = anatomy.load()
        at = self.rest_V3[self.marks] + np.einsum("u,ulc->lc", pose.units, body.units_UV3[:, self.marks])
        bones = np.einsum("lk,lkij->lij", body.weights_V4[self.marks], pose.bones[body.bones_V4[self.marks]])
        return np.asarray((np.einsum("lij,lj->li", bones[:, :3, :3], at) + bones[:, :3, 3]), np.float32)

    def update(self, pose: Pose) -> None:
        """Send this frame's face to the device."""
        positions = self._base.copy()
        positions[self._moving_in_weld] = self.moved(pose.units)
        corner = positions[self._touched]
        normal = self._spread @ np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        fresh = np.concatenate([positions[self._moving_in_weld], normal], 1)[self._dynamic_weld]
        self.shape_buffer.write(np.ascontiguousarray(fresh, np.float32).tobytes())

    def draw(self, pose: Pose, light: dict[str, object], second: bool) -> None:
        """Draw all parts into the bound framebuffer; `light` holds camera and light uniforms."""
        look, who, cut = self.look, self.identity, self.cut
        bones = np.ascontiguousarray(pose.bones.transpose(0, 2, 1), np.float32).tobytes()
        natural = self._natural()
        flag = (1.0 if second else 0.0, 0.0, 0.0, 0.0)
        self.skin_map.use(3)
        textures.strand_texture().use(4)
        gl.put(gl.program("person", "skin"), bones=bones, inflate=0.0, skin_map=3, is_second=flag, **light)
        gl.put(
            gl.program("person", "eye"),
            bones=bones,
            inflate=0.0,
            iris_color=IRIS_COLORS[who.iris],
            is_second=flag,
            **light,
        )
        gl.put(gl.program("person", "mouth"), bones=bones, inflate=0.0, is_second=flag, **light)
        gl.put(
            gl.program("person", "lash"),
            bones=bones,
            inflate=0.0,
            lash_color=tuple(natural * 0.3 + 0.003),
            is_second=flag,
            **light,
        )
        main, other = CLOTHES_COLORS[look.color], CLOTHES_COLORS[look.second_color]
        inner = CLOTHES_COLORS["white"] if look.garment == "suit" else other
        gl.put(gl.program("person", "cloth"), bones=bones, inflate=cut.inflate, color_a=main, color_b=other,
        inner_color=inner,
               tie_color=other, trouser_color=(0.05, 0.06, 0.10) if look.garment not in ("suit", "dress") else main,
               pattern=float(("plain", "striped", "checked", "dotted").index(look.pattern)), neckline=cut.neckline,
               sleeve=cut.sleeve, front=cut.front, knit=cut.knit, rib=cut.rib, strap=cut.strap, is_second=flag,
               **light)  # fmt: skip
        context = gl.context()
        context.enable(moderngl.CULL_FACE)
        for part in PARTS:
            self.arrays[part].render()
        context.disable(moderngl.CULL_FACE)
        strands = gl.program("hair", "hair")
        head, neck, chest = (
            np.ascontiguousarray(pose.bones[BONE_INDEX[b]].T, np.float32).tobytes()
            for b in ("head", "neck_01", "spine_03")
        )
        gl.put(strands, chest_bone=chest, sway=tuple(pose.sway.tolist()), strand_map=4, is_second=flag, **light)
        for array, color, curl, density, knit, on_head in self.strands:
            gl.put(
                strands, head_bone=head if on_head else neck, hair_color=color, curl=curl, density=density, is_knit=knit
            )
            array.render()

    def release(self) -> None:
        """Free this person's buffers."""
        for array in (*self.arrays.values(), *self.shadow_arrays.values()):
            array.release()
        for indices in self.index_buffers.values():
            indices.release()
        for array, *_ in self.strands:
            array.release()
        self.skin_map.release()
        for buffer in (self.shape_buffer, self.fixed_buffer, *self.strand_buffers):
            buffer.release()

    def draw_shadow(self, pose: Pose, view_projection: bytes) -> None:
        """Depth only, seen from the key light."""
        program = gl.program("person", "depth")
        bones = np.ascontiguousarray(pose.bones.transpose(0, 2, 1), np.float32).tobytes()
        gl.put(program, bones=bones, inflate=0.0, view_projection=view_projection)
        for array in self.shadow_arrays.values():
            array.render()
