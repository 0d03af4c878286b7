"""Evaluation suites: the model's figure beside the ceiling, which is the rendered truth through the same measure.

Prompts, sentences, people and places are those of the test split, which training never sees.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from muybridge.errors import InvalidRequest
from muybridge.suites.run import LANGUAGES, SHIPPED, Run
from muybridge.suites.table import Row

if TYPE_CHECKING:
    from muybridge.engine.engine import Engine
    from muybridge.model.codecs import VideoCodec

SUITES = ("codec", "sync", "speech", "adherence", "beats", "identity", "edit", "image", "sounds", "programme", "pair")
TRUTH = "truth"  # the model whose clips are the rendered ones: ceilings alone


def evaluate(
    suite: str,
    model: str = "tiny",
    count: int = 8,
    seed: int = 0,
    out: Path = Path("evaluation"),
    quiet: bool = False,
    evaluators: str | None = None,
    languages: tuple[str, ...] = LANGUAGES,
    talk_s: float = 60.0,
) -> list[Row]:
    """Rows of `suite`. Where tiny ships no weights, and for the model "truth", the figures are left out.

    Raises InvalidRequest for an unknown suite, UserError for a model that cannot be loaded, NotInstalled without the
    parts that a suite needs.
    """
    import importlib

    if suite not in SUITES:
        raise InvalidRequest(f"There is no suite {suite!r}; choose one of {', '.join(SUITES)}.", "suite")
    if unknown := sorted(set(languages) - set(LANGUAGES)):
        raise InvalidRequest(f"There is no language {unknown[0]!r}; choose of {', '.join(LANGUAGES)}.", "language")
    module = importlib.import_module(f"muybridge.suites.{suite}")
    if suite == "codec":
        return list(module.evaluate(Run(None, count, seed, out, quiet, languages, evaluators), _video_codec(model)))
    engine = _engine(model)
    made_by = "" if engine is None else _made_by(model)
    run = Run(engine, count, seed, out, quiet, languages, evaluators, talk_s, made_by)
    try:
        return list(module.evaluate(run))
    finally:
        run.close()


def _engine(model: str) -> Engine | None:
    from muybridge.engine.loading import load

    if model == TRUTH or (model == "tiny" and not (SHIPPED / "base.safetensors").is_file()):
        return None
    return load(model)


def _made_by(model: str) -> str:
    """A hash of the package's code, and of the weights that are looked at."""
    from muybridge.engine.loading import weights_identity

    package, digest = SHIPPED.parent.parent, hashlib.sha256(weights_identity(model).encode())
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _video_codec(model: str) -> VideoCodec | None:
    from muybridge.model.tiny_video_codec import load_video_codec

    path = (SHIPPED if model == "tiny" else Path(model)) / "video_codec.safetensors"
    return load_video_codec(path) if path.is_file() else None
