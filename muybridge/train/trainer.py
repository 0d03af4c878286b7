"""One trainer for every recipe: a loop that resumes where it was killed, shows its loss, and keeps an average.

A recipe is data: modules, batches by step number, a loss. Batches depend on the step alone, so that a resumed run sees
what an uninterrupted one would have seen.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from muybridge.model.device import has_fast_bf16, pick_device
from muybridge.train.checkpoint import Average, load_checkpoint, named_parameters, put_back, save_checkpoint
from muybridge.train.compiled import compile_layers
from muybridge.train.muon import Muon
from muybridge.train.together import Team, join

Losses = dict[str, Tensor]
Optimizers = list[torch.optim.Optimizer]


@dataclass(frozen=True)
class Recipe:
    """A whole training run. `settings` holds every number that makes it what it is; its hash names the run."""

    name: str
    settings: Mapping[str, Any]
    build: Callable[[], dict[str, nn.Module]]  # what is trained, by name
    batch: Callable[[int, torch.device], Any]  # step (with accumulation: micro-step) -> batch
    loss: Callable[[dict[str, nn.Module], Any], Losses]  # "loss" is minimised, the others are shown
    export: Callable[[dict[str, nn.Module], Path], None]  # averaged weights -> shipped form
    preview: Callable[[dict[str, nn.Module], Path], None] | None = None  # writes a sample sheet
    num_steps: int = 10_000
    learning_rate: float = 1e-3
    inner_rate: float = 1.0  # times learning_rate: that of `inner`
    warmup_steps: int = 200
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.97)
    clip_norm: float = 1.0
    accumulate: int = 1
    average_decay: float = 0.999
    frozen: tuple[str, ...] = field(default=())  # modules that are used but not trained
    # Trained by Muon: matrices inside of the `block.` of these modules, or of just these parts ("painter.up").
    inner: tuple[str, ...] = field(default=())
    compiled: tuple[str, ...] = field(default=())  # transformers whose layers are compiled: a minute, then faster

    @property
    def hash(self) -> str:
        """Sixteen hex digits of the settings; stored in checkpoints and shipped weights."""
        text = json.dumps(dict(self.settings), sort_keys=True, default=str)
        return hashlib.blake2b(f"{self.name}{text}".encode(), digest_size=8).hexdigest()


def learning_rate_at(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then a cosine down to a hundredth at the last step."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / max(1, recipe.num_steps - recipe.warmup_steps)
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def train(
    recipe: Recipe,
    out: Path,
    *,
    device: str = "auto",
    minutes: float | None = None,
    save_every_s: float = 180.0,
    preview_every_s: float = 600.0,
    quiet: bool = False,
) -> Path:
    """Run a recipe to its end or for `minutes`; a second call with the same `out` goes on. Returns the folder.

    Leaves `latest.pt` (everything), `export/` (averaged weights), `loss.jsonl`, `loss.png` and sample sheets. Under
    torchrun the processes share each step (train/together.py).
    """
    place = pick_device(device)
    team = join(place)
    is_first = team.number == 0
    modules = {name: module.to(place) for name, module in recipe.build().items()}
    for name in recipe.frozen:
        modules[name].requires_grad_(False)
    for name in recipe.compiled:
        compile_layers(modules[name])
    optimizers = _optimizers(recipe, modules)
    average = Average(modules, recipe.average_decay)
    (out / "export").mkdir(parents=True, exist_ok=True)
    start, losses = _resume(recipe, out, modules, optimizers, average)
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    saved = previewed = time.monotonic()
    with _progress(quiet or not is_first) as bar:
        task = bar.add_task(recipe.name, total=recipe.num_steps, completed=start)
        step, is_over = start, time.monotonic() >= deadline
        while step < recipe.num_steps and not is_over:
            shown, is_over = _one_step(recipe, modules, optimizers, step, place, team, deadline)
            average.update(modules)
            step += 1
            losses.append({"step": step, **shown})
            bar.update(task, completed=step, description=f"{recipe.name} loss {_recent(losses):.4f}")
            now = time.monotonic()
            if is_first and now - saved > save_every_s:
                _save(recipe, out, modules, optimizers, average, step, losses)
                saved = now
            if is_first and recipe.preview is not None and now - previewed > preview_every_s:
                _preview(recipe, out, modules, average)
                previewed = time.monotonic()
    if is_first:
        _save(recipe, out, modules, optimizers, average, step, losses)
        if recipe.preview is not None:
            _preview(recipe, out, modules, average)
    team.leave()
    return out


def _one_step(
    recipe: Recipe,
    modules: dict[str, nn.Module],
    optimizers: Optimizers,
    step: int,
    device: torch.device,
    team: Team,
    deadline: float,
) -> tuple[dict[str, float], bool]:
    """What the losses were, and whether the time is over; one process alone and several do the same."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(recipe, step) * (recipe.inner_rate if isinstance(optimizer, Muon) else 1.0)
    turn = step * team.size + team.number
    torch.manual_seed(turn)  # a resumed run draws what an uninterrupted one would have drawn
    shown: dict[str, float] = {}
    for micro in range(recipe.accumulate):
        batch = recipe.batch(turn * recipe.accumulate + micro, device)
        with _autocast(device):
            losses = recipe.loss(modules, batch)
        (losses["loss"] / recipe.accumulate).backward()
        for name, value in losses.items():
            shown[name] = shown.get(name, 0.0) + float(value.detach()) / recipe.accumulate
    trained = [p for _, p in named_parameters(modules)]
    is_over = team.share(trained, time.monotonic() >= deadline)
    norm = nn.utils.clip_grad_norm_(trained, recipe.clip_norm)
    for optimizer in optimizers:
        if math.isfinite(float(norm)):
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return team.mean(shown) | {"norm": float(norm)}, is_over


def _optimizers(recipe: Recipe, modules: dict[str, nn.Module]) -> Optimizers:
    """AdamW, where matrices decay and vectors and tables do not; Muon for the matrices inside of `recipe.inner`."""
    named = list(named_parameters(modules))
    insides = tuple(f"{name}." if "." in name else f"{name}.block." for name in recipe.inner)
    inside = [p for n, p in named if insides and n.startswith(insides) and p.dim() >= 2]
    chosen = {id(p) for p in inside}
    outside = [(n, p) for n, p in named if id(p) not in chosen]
    matrices = [p for n, p in outside if p.dim() > 1 and "embedding" not in n]
    others = [p for n, p in outside if p.dim() <= 1 or "embedding" in n]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    made: Optimizers = [
        torch.optim.AdamW([g for g in groups if g["params"]], lr=recipe.learning_rate, betas=recipe.betas)
    ]
    if inside:
        made.append(Muon(inside, recipe.learning_rate, weight_decay=recipe.weight_decay))
    return made


def _autocast(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """bf16 matrix products where the device is fast at them."""
    if has_fast_bf16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def _resume(
    recipe: Recipe, out: Path, modules: dict[str, nn.Module], optimizers: Optimizers, average: Average
) -> tuple[int, list[dict[str, float]]]:
    state = load_checkpoint(out, recipe.hash)
    if state is None:
        return 0, []
    for name, module in modules.items():
        module.load_state_dict(state["modules"][name])
    for optimizer, kept in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(kept)
    average.load_state_dict(state["average"])
    log = out / "loss.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    return state["step"], [r for r in rows if r["step"] <= state["step"]]


def _save(
    recipe: Recipe,
    out: Path,
    modules: dict[str, nn.Module],
    optimizers: Optimizers,
    average: Average,
    step: int,
    losses: list[dict[str, float]],
) -> None:
    state = {
        "recipe_hash": recipe.hash,
        "step": step,
        "modules": {name: module.state_dict() for name, module in modules.items()},
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "average": average.state_dict(),
    }
    save_checkpoint(out, state)
    (out / "loss.jsonl").write_text("".join(json.dumps(row) + "\n" for row in losses))
    plot_losses(losses, out / "loss.png", recipe.name)
    before = average.copy_to(modules)
    recipe.export(modules, out / "export")
    put_back(modules, before)
    card = {"recipe": recipe.name, "hash": recipe.hash, "step": step, "settings": dict(recipe.settings)}
    (out / "export" / f"{recipe.name}.json").write_text(json.dumps(card, indent=1, default=str))


def _preview(recipe: Recipe, out: Path, modules: dict[str, nn.Module], average: Average) -> None:
    assert recipe.preview is not None
    before = average.copy_to(modules)
    with torch.no_grad():
        recipe.preview(modules, out)
    put_back(modules, before)


def _recent(losses: list[dict[str, float]], count: int = 50) -> float:
    recent = [row["loss"] for row in losses[-count:]]
    return sum(recent) / len(recent)


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), disable=quiet) as bar:
        yield bar


def plot_losses(losses: list[dict[str, float]], path: Path, title: str) -> None:
    """Every loss against the step, smoothed over a fiftieth of the run, on logarithmic axes."""
    if len(losses) < 2:
        return
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    width = max(1, len(losses) // 50)
    for name in sorted(set(losses[-1]) - {"step", "norm"}):
        values = torch.tensor([row.get(name, math.nan) for row in losses])
        smooth = values.unfold(0, width, width).mean(1)
        steps = torch.tensor([row["step"] for row in losses], dtype=torch.float32).unfold(0, width, width).mean(1)
        axes.plot(steps, smooth, label=name)
    axes.set(xlabel="step", ylabel="loss", title=title, yscale="log")
    axes.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)
