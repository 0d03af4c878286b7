"""A training run is a Python function returning its whole config; `muybridge train NAME` runs it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from muybridge.errors import InvalidRequest

if TYPE_CHECKING:
    from muybridge.train.trainer import Recipe

RECIPES = ("codec_video", "codec_audio", "base", "upscaler", "few_step")


def recipe(name: str, settings: dict[str, Any] | None = None) -> Recipe:
    """The recipe `name` with some of its settings changed. Raises InvalidRequest naming the recipes or the settings."""
    if name not in RECIPES:
        raise InvalidRequest(f"There is no recipe {name!r}; choose one of {', '.join(RECIPES)}.", "recipe")
    make: Callable[..., Recipe] = importlib.import_module(f"muybridge.recipes.{name}").recipe
    try:
        return make(**(settings or {}))
    except TypeError as error:
        raise InvalidRequest(f"Recipe {name} does not take these settings: {error}.", "set") from error
