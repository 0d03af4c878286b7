"""The drawing context: one headless OpenGL 3.3 context per process and the programs of `shaders/`."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import moderngl

from muybridge.errors import NotInstalled


@cache
def context() -> moderngl.Context:
    """Headless context on EGL (a GPU where there is one, Mesa's llvmpipe else). Raises NotInstalled without EGL."""
    try:
        options: dict[str, Any] = {"backend": "egl"}  # typed as a dict upstream, taken as a keyword
        made = moderngl.create_context(standalone=True, require=330, **options)
    except Exception as failure:  # moderngl and glcontext raise bare Exception and RuntimeError here
        raise NotInstalled(
            f"No EGL context ({failure}). On Debian: apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri libgl1"
        ) from failure
    made.enable(moderngl.DEPTH_TEST)
    return made


def _source(name: str) -> str:
    return (resources.files(__package__) / "shaders" / name).read_text()


@cache
def program(vertex: str, fragment: str) -> moderngl.Program:
    """Compile shaders/`vertex`.vert and shaders/`fragment`.frag; every fragment shader sees common.glsl."""
    head = "#version 330\n"
    return context().program(
        vertex_shader=head + _source(f"{vertex}.vert"),
        fragment_shader=head + _source("common.glsl") + _source(f"{fragment}.frag"),
    )


@cache
def _slots(target: moderngl.Program) -> dict[str, moderngl.Uniform]:
    found: dict[str, moderngl.Uniform] = {}
    for name in target:
        member = target[name]
        if isinstance(member, moderngl.Uniform):
            found[name] = member
    return found


def put(target: moderngl.Program, **values: object) -> None:
    """Set uniforms that the compiled program kept; the compiler drops unused ones."""
    slots = _slots(target)
    for name, value in values.items():
        slot = slots.get(name)
        if slot is None:
            continue
        if isinstance(value, bytes):
            slot.write(value)
        else:
            slot.value = value
