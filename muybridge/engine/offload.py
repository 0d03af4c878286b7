"""Where weights are, applied from outside: resident, waiting for their stage, or streamed layer by layer.

Streaming keeps two layers at a time on the device: while layer n computes, layer n+1 is copied on a second stream from
pinned memory. Deleting this file costs only the ability to run models larger than the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from muybridge.engine.components import Denoiser
from muybridge.engine.placement import Where
from muybridge.model.codecs import TextEncoder
from muybridge.model.tokens import Packed
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


class OnDemand:
    """A transformer that is read from disk when it is first called: most requests never need the upscalers."""

    def __init__(self, read: Callable[[], Denoiser]) -> None:
        self._read = read
        self._model: Denoiser | None = None

    def __call__(self, packed: Packed) -> tuple[Tensor, Tensor]:
        if self._model is None:
            self._model = self._read()
        return self._model(packed)

    def leave(self) -> None:
        """Give the device's memory back until the next call."""
        leave(self._model)


class Visiting:
    """A transformer that waits in main memory and is on the device from its first call until `leave`."""

    def __init__(self, model: Transformer, device: torch.device) -> None:
        self._model, self._device = model.cpu(), device
        self._is_there = False

    def __call__(self, packed: Packed) -> tuple[Tensor, Tensor]:
        if not self._is_there:
            self._model.to(self._device)
            self._is_there = True
        found: tuple[Tensor, Tensor] = self._model(packed)
        return found

    def leave(self) -> None:
        """Back to main memory."""
        if self._is_there:
            self._model.cpu()
            self._is_there = False


class VisitingEncoder:
    """A text encoder whose model is on the device only while it encodes."""

    def __init__(self, encoder: TextEncoder, model: nn.Module, device: torch.device) -> None:
        self._encoder, self._model, self._device = encoder, model, device
        self.num_channels = encoder.num_channels

    def encode(self, prompts: Sequence[str]) -> list[Tensor]:
        """As the encoder's; the features stay on the device."""
        self._model.to(self._device)
        try:
            return self._encoder.encode(prompts)
        finally:
            self._model.cpu()


def put(model: Transformer, device: torch.device, where: Where) -> Denoiser:
    """`model` where the placement wants it."""
    if where == "streamed":
        return stream_layers(model, device)
    return Visiting(model, device) if where == "waiting" else model.to(device)


def leave(model: Denoiser | None) -> None:
    """Send a visiting model away; resident and streamed ones have nothing to give back."""
    if isinstance(model, OnDemand | Visiting):
        model.leave()


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
