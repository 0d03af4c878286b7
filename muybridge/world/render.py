"""Draw a scene: frames and their exact truth, streamed frame by frame.

T frames, Y rows, X columns, P people, L landmarks, U face units. Pixels are uint8; masks are coverage 0..255 (soft at
edges because four samples a pixel are averaged). The same scene and size give the same bytes on one machine.

Over 400 lines: the passes of one frame share its uniforms and are read together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

import moderngl
import numpy as np
from numpy.typing import NDArray

from . import gl, landscapes, textures, things
from .anatomy import Floats, Ints
from .camera import Focus, View, person_focus, view_at
from .lighting import Light, direction, light_at
from .motion import face_units, pose_at
from .person import LANDMARKS, Person, Pose
from .places import Place
from .scene import FPS, Human, Scene, Thing, check
from .solids import Solids
from .spaces import look_at, orthographic, project

Bytes = NDArray[np.uint8]
MASKS = ("person", "face", "mouth", "hair", "clothes", "second", "thing", "background")
SHADOW = 512


@dataclass(frozen=True)
class Frame:
    """One frame and its truth. `landmarks_PL3` is (x, y) in pixels and depth in dm; `masks` is None if not asked
    for."""

    time_s: float
    pixels_YX3: Bytes
    masks: dict[str, Bytes] | None
    landmarks_PL3: Floats
    units_PU: Floats
    camera: View
    light: Light


@dataclass(frozen=True)
class Clip:
    """A whole rendered scene. `masks` maps a name of MASKS to [T, Y, X]."""

    scene: Scene
    frames_TYX3: Bytes
    masks: dict[str, Bytes]
    landmarks_TPL3: Floats
    units_TPU: Floats
    events: tuple[things.Event, ...]


class _Canvas:
    """Multisampled target and its resolved copy for one picture size."""

    def __init__(self, width: int, height: int) -> None:
        context = gl.context()
        samples = min(4, context.max_samples)

        def target(count: int) -> moderngl.Framebuffer:
            size = (width, height)
            colors = [context.renderbuffer(size, 4, samples=count) for _ in range(3)]
            return context.framebuffer(colors, context.depth_renderbuffer(size, samples=count))

        self.size = (width, height)
        self.drawn, self.resolved = target(samples), target(0)

    def read(self, attachment: int, components: int) -> Bytes:
        """Resolved pixels [Y, X, components], top row first."""
        width, height = self.size
        raw = self.resolved.read(components=components, attachment=attachment, alignment=1)
        return np.frombuffer(raw, np.uint8).reshape(height, width, components)[::-1]


@cache
def _canvas(width: int, height: int) -> _Canvas:
    return _Canvas(width, height)


@cache
def _shadow_target() -> moderngl.Framebuffer:
    context = gl.context()
    depth = context.depth_texture((SHADOW, SHADOW))
    depth.compare_func = "<="
    depth.filter = (moderngl.LINEAR, moderngl.LINEAR)
    depth.repeat_x = depth.repeat_y = False
    return context.framebuffer(depth_attachment=depth)


@cache
def _quad(vertex: str, fragment: str, corners: tuple[tuple[float, float], ...]) -> moderngl.VertexArray:
    buffer = gl.context().buffer(np.array(corners, np.float32).tobytes())
    return gl.context().vertex_array(gl.program(vertex, fragment), [(buffer, "2f", "in_position")])


_SCREEN = ((-1.0, -1.0), (3.0, -1.0), (-1.0, 3.0))
_FLAME = ((-1.0, 0.0), (1.0, 0.0), (-1.0, 1.0), (1.0, 1.0))


@cache
def _drops(count: int) -> moderngl.VertexArray:
    rng = np.random.default_rng(0xD20)
    context = gl.context()
    drops = context.buffer(rng.random((count, 4)).astype(np.float32).tobytes())
    corners = context.buffer(np.array([(-1, -1), (1, -1), (-1, 1), (1, 1)], np.float32).tobytes())
    return context.vertex_array(gl.program("fall", "fall"), [(drops, "4f/i", "in_drop"), (corners, "2f", "in_corner")])


class _SolidArray:
    """Buffers of one solid mesh; `write` replaces its shape for articulated bodies."""

    def __init__(self, vertices_N14: Floats, faces_F3: Ints, fragment: str = "solid") -> None:
        context = gl.context()
        self.program = gl.program("solid", fragment)
        self.vertices = context.buffer(np.ascontiguousarray(vertices_N14, np.float32).tobytes(), dynamic=True)
        self.faces = context.buffer(np.ascontiguousarray(faces_F3, np.int32).tobytes())
        columns = {"in_position": 3, "in_normal": 3, "in_uv": 2, "in_color": 3, "in_kind": 3}
        layout = " ".join(f"{n}f" if name in self.program else f"{4 * n}x" for name, n in columns.items())
        names = [name for name in columns if name in self.program]
        self.array = context.vertex_array(self.program, [(self.vertices, layout, *names)], self.faces)
        shadow = gl.program("solid", "depth")
        layout = " ".join(f"{n}f" if name in shadow else f"{4 * n}x" for name, n in columns.items())
        names = [name for name in columns if name in shadow]
        self.shadow = context.vertex_array(shadow, [(self.vertices, layout, *names)], self.faces)

    def release(self) -> None:
        for item in (self.array, self.shadow, self.vertices, self.faces):
            item.release()


@cache
def _fixed_solid(key: int) -> _SolidArray:
    vertices, faces = _KEYED[key]
    return _SolidArray(vertices, faces)


_KEYED: dict[int, tuple[Floats, Ints]] = {}


def _part_array(vertices: Floats, faces: Ints) -> _SolidArray:
    """Parts that things.py caches keep their identity, so their buffers are made once."""
    _KEYED.setdefault(id(vertices), (vertices, faces))
    return _fixed_solid(id(vertices))


def _bytes(matrix: Floats) -> bytes:
    return np.ascontiguousarray(matrix.T, np.float32).tobytes()


class Set:
    """A scene with its buffers on the device. Draw its frames in any order with `draw`; `release` when done."""

    def __init__(self, scene: Scene, speech_units: Sequence[Floats | None] = (), is_mute: bool = False) -> None:
        self.scene = check(scene)
        self.place: Place = landscapes.build(scene.place, scene.place_seed, scene.hour == "night")
        self.ground = _SolidArray(self.place.vertices_N14, self.place.faces_F3)
        self.people = [Person(human.identity, human.look) for human in scene.people]
        spoken = [*speech_units, *[None] * (len(scene.people) - len(speech_units))]
        self.spoken = spoken
        self.units = [
            face_units(h, scene.seconds, scene.num_frames, s) for h, s in zip(scene.people, spoken, strict=True)
        ]
        if is_mute:  # heads go on as if they spoke: the mouth is all that differs
            self.units = [u if s is None else np.clip(u - s, 0, 1) for u, s in zip(self.units, spoken, strict=True)]
        self.water = self._water() if self.place.water else None
        feet = [float(p.rest_V3[:13380, 1].min()) for p in self.people]
        self.eye_heights = [p.eye_height - foot for p, foot in zip(self.people, feet, strict=True)]

    def _water(self) -> _SolidArray:
        s = Solids()
        s.quad((-2200, 0, 120), (4400, 0, 0), (0, 0, -2200), (0.02, 0.12, 0.17))
        return _SolidArray(*s.mesh(), "water")

    def release(self) -> None:
        """Free the buffers of this scene."""
        self.ground.release()
        if self.water:
            self.water.release()
        for person in self.people:
            person.release()

    def focus(self, t_s: float) -> Focus:
        """Where the camera looks, before its move."""
        scene = self.scene
        if self.people:
            return person_focus(self.eye_heights, [h.x for h in scene.people], scene.framing)
        return things.focus(scene, scene.things[0], t_s)

    def draw(self, frame: int, height: int, width: int, masks: bool = True) -> Frame:
        """Draw one frame at Y = height, X = width."""
        scene, t_s = self.scene, frame / FPS
        focus = self.focus(t_s)
        view = view_at(scene, focus, t_s, width / height)
        light = light_at(scene, self.place, t_s)
        poses = [self._pose(k, human, frame, t_s) for k, human in enumerate(scene.people)]
        parts = [(thing, *part) for thing in scene.things for part in things.draw(scene, thing, t_s)]
        for person, pose in zip(self.people, poses, strict=True):
            person.update(pose)
        arrays, extra = self._arrays(parts)
        matrix = view.matrix(width / height)
        uniforms = self._uniforms(view, light, matrix, t_s)
        self._shadows(uniforms, light, focus, poses, arrays)
        canvas = _canvas(width, height)
        context = gl.context()
        canvas.drawn.use()
        canvas.drawn.viewport = (0, 0, width, height)
        canvas.drawn.clear(0.0, 0.0, 0.0, 0.0, depth=1.0)
        # Near to far: what a person hides is never shaded.
        for k, (person, pose) in enumerate(zip(self.people, poses, strict=True)):
            person.draw(pose, uniforms, k == 1)
        self._draw_things(uniforms, arrays, t_s)
        self._draw_place(uniforms, light, matrix, t_s)
        self._draw_effects(uniforms, view)
        context.copy_framebuffer(canvas.resolved, canvas.drawn)
        for array in extra:
            array.release()
        pixels = canvas.read(0, 3).copy()
        marks = [project(matrix, p.landmarks(pose), width, height) for p, pose in zip(self.people, poses, strict=True)]
        return Frame(
            time_s=t_s,
            pixels_YX3=pixels,
            masks=_masks(canvas) if masks else None,
            landmarks_PL3=np.stack(marks) if marks else np.zeros((0, len(LANDMARKS), 3), np.float32),
            units_PU=np.stack([u[frame] for u in self.units]) if self.units else np.zeros((0, 52), np.float32),
            camera=view,
            light=light,
        )

    def _pose(self, k: int, human: Human, frame: int, t_s: float) -> Pose:
        spoken = self.spoken[k]
        energy = 0.0
        if spoken is not None:
            near = spoken[max(0, frame - 8) : frame + 9]
            energy = float(np.clip(near.sum(1).mean(), 0, 1)) if len(near) else 0.0
        return pose_at(self.people[k], human, self.units[k][frame], t_s, energy)

    def _arrays(
        self, parts: list[tuple[Thing, Floats, Ints, Floats]]
    ) -> tuple[list[tuple[_SolidArray, Floats, Thing]], list[_SolidArray]]:
        arrays: list[tuple[_SolidArray, Floats, Thing]] = []
        extra: list[_SolidArray] = []
        for thing, vertices, faces, model in parts:
            if thing.kind == "horse":  # a new shape every frame
                made = _SolidArray(vertices, faces)
                extra.append(made)
            else:
                made = _part_array(vertices, faces)
            arrays.append((made, model, thing))
        return arrays, extra

    def _uniforms(self, view: View, light: Light, matrix: Floats, t_s: float) -> dict[str, object]:
        textures.noise_texture().use(0)
        textures.material_stack().use(2)

        def rgb(value: Floats) -> tuple[float, float, float]:
            return (float(value[0]), float(value[1]), float(value[2]))

        lamp = self.place.lamp or (0.0, 0.0, 0.0)
        return {
            "view_projection": _bytes(matrix), "key_dir": rgb(light.direction), "key_color": rgb(light.key),
            "sky_color": rgb(light.sky),
            "ground_color": rgb(light.ground), "rim_color": rgb(light.rim), "lamp_color": rgb(light.lamp),
            "lamp_pos": (*lamp, 14.0),
            "fog_color": rgb(light.fog), "fog_density": light.fog_density, "exposure": light.exposure,
            "eye_pos": rgb(view.eye),
            "grade": (1.0, 1.0, 1.0), "noise_map": 0, "shadow_map": 1, "materials": 2, "shadow_strength": light.shadow,
            "shadow_matrix": _bytes(np.eye(4, dtype=np.float32)), "time": t_s, "wind": self.scene.wind,
            "zenith": rgb(light.zenith),
            "horizon": rgb(light.horizon),
        }  # fmt: skip

    def _shadows(
        self,
        uniforms: dict[str, object],
        light: Light,
        focus: Focus,
        poses: list[Pose],
        arrays: list[tuple[_SolidArray, Floats, Thing]],
    ) -> None:
        target = _shadow_target()
        half = 6.5 + focus.half_width if self.people else 1.35 * max(focus.half_height, focus.half_width)
        middle = focus.middle.copy()
        if self.people:
            middle[1] = float(np.mean(self.eye_heights)) - 1.5
        eye = middle + light.direction * 60
        matrix = orthographic(half, 5.0, 160.0) @ look_at(eye, middle, 0.001)
        uniforms["shadow_matrix"] = _bytes(matrix)
        target.use()
        target.viewport = (0, 0, SHADOW, SHADOW)
        target.clear(depth=1.0)
        for person, pose in zip(self.people, poses, strict=True):
            person.draw_shadow(pose, _bytes(matrix))
        program = gl.program("solid", "depth")
        gl.put(program, view_projection=_bytes(matrix), time=0.0, wind=0.0)
        for array, model, _ in arrays:
            gl.put(program, model=_bytes(model))
            array.shadow.render()
        depth = target.depth_attachment
        assert isinstance(depth, moderngl.Texture)
        depth.use(1)

    def _draw_place(self, uniforms: dict[str, object], light: Light, matrix: Floats, t_s: float) -> None:
        scene = self.scene
        solid = self.ground.program
        gl.put(solid, model=_bytes(np.eye(4, dtype=np.float32)), gloss=self.place.gloss,
        wet=float(scene.weather == "rain" and not self.place.indoor),
               id_a=(0.0, 0.0, 0.0, 0.0), id_b=(0.0, 0.0, 0.0, 0.0), contacts=self._contacts(t_s),
                   **uniforms)  # fmt: skip
        self.ground.array.render()
        if self.water and self.place.water:
            level, shore = self.place.water
            waves = next((t for t in scene.things if t.kind == "waves"), None)
            calm = Thing("waves", pace=0.28, first_s=1.0)
            surf = float(scene.place == "beach")
            run = things.wave_run(waves or calm, t_s) * surf
            shift = np.eye(4, dtype=np.float32)
            shift[1, 3] = level + 0.75 * run
            gl.put(self.water.program, model=_bytes(shift),
            shore_z=-30.0 + (level + 0.75 * run) / 0.035 if surf else shore, surf=surf,
                   id_b=(0.0, 0.0, float(waves is not None), 0.0), **uniforms)  # fmt: skip
            self.water.array.render()
        sky = gl.program("sky", "sky")
        if not self.place.indoor:
            sun = scene.hour in ("day", "sunset")
            low = direction(scene.light.azimuth_deg + 150, 12.0 if scene.hour == "sunset" else 42.0)
            gl.put(sky, inverse_view=_bytes(np.linalg.inv(matrix)), sun_tint=tuple(map(float,
            light.key * (0.5 if sun else 0.25))),
                   sun_dir=tuple(map(float, low)), clouds=light.clouds, stars=light.stars, **uniforms)  # fmt: skip
            _quad("sky", "sky", _SCREEN).render()

    def _contacts(self, t_s: float) -> list[tuple[float, float, float, float]]:
        """Soft contact shadows of people and things: (x, z, 1 / radius, strength)."""
        spots = [(human.x, 0.0, 3.4, 0.7) for human in self.scene.people]
        for thing in self.scene.things:
            if thing.kind == "horse":
                x = float(things.focus(self.scene, thing, t_s).middle[0])
                z = -22.0 if self.scene.people else 0.0
                spots += [(x - thing.heading * 7, z, 5.0, 0.6), (x + thing.heading * 3, z, 5.0, 0.6)]
            elif thing.kind == "ball":
                height, _ = things.ball_height(thing, t_s)
                x, _, z = (float(v) for v in things._offset(self.scene))
                spots.append((x, z, 1.1 + 0.10 * height, 0.75 / (1 + 0.25 * height)))
            elif thing.kind == "car":
                x = thing.heading * things.car_x(thing, t_s)
                spots += [(x - 11, -38.0, 12.0, 0.75), (x + 11, -38.0, 12.0, 0.75)]
            elif thing.kind in ("drum", "bell", "fire"):
                x, _, z = (float(v) for v in things._offset(self.scene))
                spots.append((x, z, 5.0, 0.55))
        padded = (spots + [(0.0, 0.0, 1.0, 0.0)] * 6)[:6]
        return [(x, z, 1 / radius, strength) for x, z, radius, strength in padded]

    def _draw_things(
        self, uniforms: dict[str, object], arrays: list[tuple[_SolidArray, Floats, Thing]], t_s: float
    ) -> None:
        for array, model, thing in arrays:
            shine = {"bell": 0.5, "car": 0.35, "ball": 0.12, "drum": 0.2}.get(thing.kind, 0.04)
            gl.put(array.program, model=_bytes(model), gloss=shine, wet=0.0, id_a=(0.0, 0.0, 0.0, 0.0), id_b=(0.0,
                0.0, 1.0, 0.0),
                   contacts=[(0.0, 0.0, 1.0, 0.0)] * 6, **uniforms)  # fmt: skip
            array.array.render()
        for thing in self.scene.things:
            if thing.kind == "fire":
                self._draw_fire(uniforms, thing, t_s)

    def _draw_fire(self, uniforms: dict[str, object], thing: Thing, t_s: float) -> None:
        burst = max(
            (np.exp(-(t_s - t) / 0.10) for t in things.crackles(thing, self.scene.seconds) if t <= t_s), default=0.0
        )
        base = things._offset(self.scene)
        for layer, (dx, dz, wide, tall) in enumerate(
            ((0.0, -0.8, 2.9, 8.2), (-0.9, 0.0, 2.2, 6.4), (0.9, 0.5, 2.0, 5.6))
        ):
            gl.put(gl.program("fire", "fire"), base=(float(base[0]) + dx, 0.6, float(base[2]) + dz), right=(1.0, 0.0,
                0.0), extent=(wide, tall),
                   burst=float(burst), layer=float(layer), id_b=(0.0, 0.0, 1.0, 0.0), **uniforms)  # fmt: skip
            _quad("fire", "fire", _FLAME).render(moderngl.TRIANGLE_STRIP)

    def _draw_effects(self, uniforms: dict[str, object], view: View) -> None:
        weather = self.scene.weather
        if weather not in ("rain", "snow") or self.place.indoor:
            return
        context = gl.context()
        context.enable(moderngl.BLEND)
        context.blend_func = moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA
        rain = weather == "rain"
        side = np.cross(view.target - view.eye, [0, 1, 0])
        side /= np.linalg.norm(side)
        ahead = view.eye + (view.target - view.eye) * 0.5
        size = np.array([60.0, 44.0, 50.0]) * max(1.0, float(np.linalg.norm(view.target - view.eye)) / 22)
        low = ahead - size / 2 - np.array([0, 0, size[2] * 0.25])
        scale = float(size[0]) / 60
        gl.put(gl.program("fall", "fall"), box_min=tuple(map(float, low)), box_size=tuple(map(float, size)),
               speed=(-6.0, -95.0, 0.0) if rain else (2.5 * self.scene.wind, -9.0, 0.6), size=(0.022 * scale,
                   1.1 * scale) if rain else (0.13 * scale, 0.13 * scale),
               side=tuple(map(float, side)), drop_color=(0.9, 0.95, 1.0) if rain else (1.5, 1.5, 1.5),
                   round_drop=float(not rain),
               alpha=0.34 if rain else 0.9, **uniforms)  # fmt: skip
        _drops(1100).render(moderngl.TRIANGLE_STRIP, vertices=4, instances=1100)
        context.disable(moderngl.BLEND)


def _masks(canvas: _Canvas) -> dict[str, Bytes]:
    a, b = canvas.read(1, 4), canvas.read(2, 4)
    planes = [a[..., k].copy() for k in range(4)] + [b[..., k].copy() for k in range(3)]
    planes.append(255 - np.maximum(planes[0], planes[6]))
    return dict(zip(MASKS, planes, strict=True))


def frames(
    scene: Scene,
    height: int,
    width: int,
    masks: bool = True,
    speech_units: Sequence[Floats | None] = (),
    is_mute: bool = False,
) -> Iterator[Frame]:
    """Stream the scene's frames in order; `speech_units` holds one [T, 52] viseme track (or None) per person.

    `is_mute`: the same clip with mouths that stay as they are between words.
    """
    built = Set(scene, speech_units, is_mute)
    try:
        for frame in range(scene.num_frames):
            yield built.draw(frame, height, width, masks)
    finally:
        built.release()


def render(
    scene: Scene,
    height: int,
    width: int,
    speech_units: Sequence[Floats | None] = (),
    num_frames: int | None = None,
) -> Clip:
    """Draw the whole scene, or its first `num_frames`.

    Raises InvalidRequest for a scene out of limits, NotInstalled without EGL or body data.
    """
    drawn = list(islice(frames(scene, height, width, True, speech_units), num_frames))
    return Clip(
        scene=scene,
        frames_TYX3=np.stack([f.pixels_YX3 for f in drawn]),
        masks={name: np.stack([f.masks[name] for f in drawn if f.masks]) for name in MASKS},
        landmarks_TPL3=np.stack([f.landmarks_PL3 for f in drawn]),
        units_TPU=np.stack([f.units_PU for f in drawn]),
        events=things.events(scene),
    )
