"""Layer streaming, applied from outside: weights wait in main memory, two layers at a time are on the device.

While layer n computes, layer n+1 is copied on a second stream from pinned memory. Deleting this file costs only the
ability to run models larger than the device.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from muybridge.model.transformer import Transformer


def stream_layers(model: Transformer, device: torch.device) -> Transformer:
    """Keep the blocks' weights in main memory and bring each layer to `device` for its own forward only.

    Everything outside the blocks moves to `device` for good. Results are bit-equal to a resident model's.
    """
    layers = model.block.layers
    assert isinstance(layers, nn.ModuleList)
    for name, child in model.named_children():
        if name != "block":
            child.to(device)
    homes = [_home(layer, device) for layer in layers]
    copier = torch.cuda.Stream(device) if device.type == "cuda" else None
    loaded: dict[int, Any] = {}

    def bring(index: int) -> None:
        if index in loaded or index >= len(layers):
            return
        if copier is None:
            loaded[index] = None
            _fill(layers[index], homes[index], device)
            return
        copier.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(copier):
            _fill(layers[index], homes[index], device)
            loaded[index] = copier.record_event()

    def before(index: int) -> None:
        bring(index)
        event = loaded[index]
        if event is not None:
            torch.cuda.current_stream(device).wait_event(event)
        bring(index + 1)

    def after(index: int) -> None:
        _empty(layers[index], homes[index])
        del loaded[index]

    for index, layer in enumerate(layers):
        layer.register_forward_pre_hook(lambda *_, i=index: before(i))
        layer.register_forward_hook(lambda *_, i=index: after(i))
    return model


Home = dict[str, Tensor]


def _home(layer: nn.Module, device: torch.device) -> Home:
    """The layer's tensors in main memory, pinned where a GPU will copy from them."""
    tensors = {**dict(layer.named_parameters()), **dict(layer.named_buffers())}
    home = {name: t.detach().cpu() for name, t in tensors.items()}
    return {n: t.pin_memory() for n, t in home.items()} if device.type == "cuda" else home


def _fill(layer: nn.Module, home: Home, device: torch.device) -> None:
    for name, target in (*layer.named_parameters(), *layer.named_buffers()):
        target.data = home[name].to(device, non_blocking=True, copy=True)


def _empty(layer: nn.Module, home: Home) -> None:
    """Back to the tensors in main memory: the device's copies are freed once the kernels that use them are done."""
    for name, target in (*layer.named_parameters(), *layer.named_buffers()):
        if target.device.type == "cuda":
            target.data.record_stream(torch.cuda.current_stream(target.device))
        target.data = home[name]
