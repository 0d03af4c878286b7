"""Muybridge: video and sound from one transformer, on one clock.

The names below are loaded when first used, so that `import muybridge` costs nothing and needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from muybridge.request import AudioMode, Beat, Line, Reference, Request, Task

if TYPE_CHECKING:
    from muybridge.client import AsyncClient, Client
    from muybridge.engine import Clip, Engine, load

__version__ = "0.1.0"
__all__ = [
    "AsyncClient",
    "AudioMode",
    "Beat",
    "Client",
    "Clip",
    "Engine",
    "Line",
    "Reference",
    "Request",
    "Task",
    "load",
]

_LAZY = {
    "AsyncClient": "muybridge.client",
    "Client": "muybridge.client",
    "Clip": "muybridge.engine",
    "Engine": "muybridge.engine",
    "load": "muybridge.engine",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  (whatever the name stands for)
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'muybridge' has no attribute {name!r}")
