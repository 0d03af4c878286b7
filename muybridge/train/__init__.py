"""Training: a recipe (data) run by one trainer; parallelism and precision applied from outside."""

from muybridge.train.checkpoint import load_checkpoint, save_checkpoint
from muybridge.train.trainer import Recipe, train

__all__ = ["Recipe", "load_checkpoint", "save_checkpoint", "train"]
