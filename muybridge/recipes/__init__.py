"""A training run is a Python function returning its whole config; `muybridge train NAME` runs it."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muybridge.errors import InvalidRequest

if TYPE_CHECKING:
    from muybridge.train.trainer import Recipe

RECIPES = (
    "codec_video",
    "codec_audio",
    "pacing",
    "base",
    "decoder",
    "upscaler",
    "few_step",
    "draft",
    "listener",
    "finder",
    "face_painter",
    "picture_painter",
)


def run(name: str, out: Path, settings: dict[str, Any], minutes: float | None, device: str, quiet: bool) -> Path:
    """Train `name` into `out` (or go on there); recipes that only measure have a `run` of their own."""
    module = _module(name)
    if hasattr(module, "run"):
        try:
            found: Path = module.run(out, quiet=quiet, **settings)
        except TypeError as error:
            raise InvalidRequest(f"Recipe {name} does not take these settings: {error}.", "set") from error
        return found
    from muybridge.train import train

    return train(recipe(name, settings), out, device=device, minutes=minutes, quiet=quiet)


def _module(name: str) -> Any:  # noqa: ANN401  (a recipe's module)
    if name not in RECIPES:
        raise InvalidRequest(f"There is no recipe {name!r}; choose one of {', '.join(RECIPES)}.", "recipe")
    return importlib.import_module(f"muybridge.recipes.{name}")


def recipe(name: str, settings: dict[str, Any] | None = None) -> Recipe:
    """The recipe `name` with some of its settings changed. Raises InvalidRequest naming the recipes or the settings."""
    make: Callable[..., Recipe] = _module(name).recipe
    _check_kinds(name, make, settings or {})
    try:
        return make(**(settings or {}))
    except TypeError as error:
        raise InvalidRequest(f"Recipe {name} does not take these settings: {error}.", "set") from error


def _check_kinds(name: str, make: Callable[..., Recipe], settings: dict[str, Any]) -> None:
    """Raises InvalidRequest for a value of another kind than the setting's default: `.9` is text, 0.9 a number."""
    for key, known in inspect.signature(make).parameters.items():
        value, kind = settings.get(key, known.default), type(known.default)
        fits = type(value) is kind or (kind is float and type(value) is int)
        if not fits:
            wanted = {bool: "true or false", int: "a whole number", float: "a number such as 0.5", str: "text"}
            raise InvalidRequest(f"--set {key}={value}: {name} wants {wanted.get(kind, kind.__name__)} there.", "set")
