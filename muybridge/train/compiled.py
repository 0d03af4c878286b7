"""Compiles the insides of a transformer's layers, applied to a model from outside; delete it and training is slower.

Between two matrix products stand ten small operations on a narrow stream; on CPUs with bf16 units those take longer
than the products, fused by torch.compile they do not (bench/training.py). Attention and the cutting of rows stay eager:
their shapes change with every batch.
"""

from __future__ import annotations

import torch
from torch import nn

from muybridge.model.transformer import Attention, FeedForward

MOST_FORMS = 64  # of one function: by modality, with and without gradients; torch's own limit leaves some eager


def compile_layers(model: nn.Module) -> nn.Module:
    """Compile `project` and `output` of every attention and `rows` of every feed-forward network; returns the model."""
    torch.compiler.config.recompile_limit = MOST_FORMS
    for module in model.modules():
        if isinstance(module, Attention):
            module.project = torch.compile(module.project, dynamic=True)  # type: ignore[method-assign]
            module.output = torch.compile(module.output, dynamic=True)  # type: ignore[method-assign]
        if isinstance(module, FeedForward):
            module.rows = torch.compile(module.rows, dynamic=True)  # type: ignore[method-assign]
    return model
