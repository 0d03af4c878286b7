"""A size's weights: what they must be, strict loading into a module, atomic saving.

Every difference between file and model is an error that names the tensors; nothing is ever skipped silently. Files
themselves are `weights_file`, whole folders of parts `weights_folder`.
"""

from __future__ import annotations

import glob
import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from muybridge.config import ModelConfig, model_config
from muybridge.errors import UserError, WeightsInvalid
from muybridge.model.quantize import quantize_state
from muybridge.model.weights_file import (
    FORMAT_VERSION,
    INDEX_NAME,
    MAX_NAMED,
    Checkpoint,
    Specs,
    TensorSpec,
    check_config,
    check_state,
    dtype_name,
)

if TYPE_CHECKING:
    from torch import nn

    from muybridge.model.transformer import Transformer

SINGLE_NAME = "model.safetensors"
SHARD_BYTES = 5 * 10**9

OnTensor = Callable[[int, int], None]
"""Progress of a load or save: called with (bytes done, bytes in all) after each tensor or shard."""


def module_specs(module: nn.Module) -> dict[str, TensorSpec]:
    """Names, shapes and dtypes of everything the module stores (on the meta device too)."""
    return {name: TensorSpec.of(tensor) for name, tensor in module.state_dict().items()}


def is_block_matrix(name: str, spec: TensorSpec) -> bool:
    """Whether the policy keeps this tensor in the low precision: the matrices inside blocks, nothing else.

    Norms, adapter, rotary bands and final layers stay float32; casting them too spoilt the output of another port.
    """
    return name.startswith("block.") and len(spec.shape) == 2


def model_specs(config: ModelConfig, matrix_dtype: torch.dtype | None = None) -> dict[str, TensorSpec]:
    """What a checkpoint of this transformer must hold, built on the meta device without allocating anything.

    Block matrices have `matrix_dtype`; default: bf16 in the open 15B family (as published), float32 in our own sizes.
    """
    from muybridge.model.transformer import Transformer

    with torch.device("meta"):
        specs = module_specs(Transformer(config))
    low = matrix_dtype or (torch.bfloat16 if config.name.startswith("15b") else torch.float32)
    return {
        name: TensorSpec(spec.shape, low if is_block_matrix(name, spec) else torch.float32)
        for name, spec in specs.items()
    }


def info(size: str) -> dict[str, Any]:
    """{"parameters", "tensors", "bytes", "state_dict": {name: [shape..., dtype]}} of a size, without its weights.

    `parameters` counts every stored number, buffers included. Raises InvalidRequest for an unknown size.
    """
    specs = model_specs(model_config(size))
    return {
        "parameters": sum(spec.num_bytes // spec.dtype.itemsize for spec in specs.values()),
        "tensors": len(specs),
        "bytes": sum(spec.num_bytes for spec in specs.values()),
        "state_dict": {name: [*spec.shape, dtype_name(spec.dtype)] for name, spec in specs.items()},
    }


def load_transformer(
    path: Path,
    config: ModelConfig | None = None,
    *,
    device: str = "cpu",
    matrix_dtype: torch.dtype | None = None,
    on_tensor: OnTensor | None = None,
) -> Transformer:
    """Read a transformer strictly. `config` defaults to the one in the file; block matrices become `matrix_dtype`.

    The file must follow the size's dtype policy (`model_specs`); float32 files of the 15B (`distill`) are cast down on
    the way. Raises WeightsInvalid.
    """
    from muybridge.model.transformer import Transformer

    if config is None:
        with Checkpoint.open(path) as checkpoint:
            config = checkpoint.config()
        if config is None:
            raise WeightsInvalid(f"{path} does not say which size it is; name the size (15b, 15b-1080p, ...).")
    with torch.device("meta"):
        model = Transformer(config)
    target = model_specs(config, matrix_dtype)
    load_into(
        model,
        path,
        config=config,
        device=device,
        wanted=model_specs(config),
        cast=lambda name: target[name].dtype,
        on_tensor=on_tensor,
    )
    return model.eval()


def load_into(
    module: nn.Module,
    path: Path,
    *,
    config: ModelConfig | None = None,
    device: str = "cpu",
    wanted: Specs | None = None,
    cast: Callable[[str], torch.dtype] | None = None,
    any_float: bool = False,
    on_tensor: OnTensor | None = None,
) -> None:
    """Fill a module (usually built on the meta device) from a checkpoint, one tensor at a time.

    Headers are checked in full against `wanted` (default: the module's own) before any value is read; `config` is
    compared with the one in the file, where it has one. `cast` gives each tensor's final dtype (default: the wanted
    one); `any_float` accepts any float dtype in the file. Peak memory is the module plus one tensor.
    Raises WeightsInvalid.
    """
    specs = dict(wanted or module_specs(module))
    with Checkpoint.open(path) as checkpoint:
        if config is not None:
            check_config(checkpoint, config)
        check_state(checkpoint.specs, specs, source=str(path), any_float=any_float)
        done, total = 0, sum(spec.num_bytes for spec in checkpoint.specs.values())
        for name in specs:
            dtype = cast(name) if cast else specs[name].dtype
            tensor = checkpoint.read(name)
            # On the CPU a tensor of a mapped file would share its pages: copy, so that the file may be replaced.
            _assign(module, name, tensor.to(device=device, dtype=dtype, copy=True))
            done += checkpoint.specs[name].num_bytes
            if on_tensor:
                on_tensor(done, total)
    left = [n for n, t in [*module.named_parameters(), *module.named_buffers()] if t.is_meta]
    assert not left, f"never filled, because not part of the state_dict: {left[:MAX_NAMED]}"


def _assign(module: nn.Module, name: str, tensor: torch.Tensor) -> None:
    owner_name, _, leaf = name.rpartition(".")
    owner = module.get_submodule(owner_name)
    if leaf in owner._parameters:
        owner._parameters[leaf] = torch.nn.Parameter(tensor, requires_grad=False)
    else:
        owner._buffers[leaf] = tensor


# --- writing ----------------------------------------------------------------------------------------------------


def save(
    state: Mapping[str, torch.Tensor],
    path: Path,
    *,
    config: ModelConfig | None = None,
    storage: str = "native",
    shard_bytes: int = SHARD_BYTES,
    on_tensor: OnTensor | None = None,
) -> list[Path]:
    """Write a state dict as a file (`*.safetensors`) or a folder (sharded above `shard_bytes`); returns the files.

    `storage` is `native`, `bfloat16`, `int8` (one scale per row) or `int4` (one per 32): smaller files for small
    float32 models, read back as float32. Atomic: after a crash at any moment the path holds the old checkpoint or the
    new one, whole.
    """
    if storage != "native":
        state = quantize_state(state, storage)
    specs = {name: TensorSpec.of(tensor) for name, tensor in state.items()}
    return write_checkpoint(
        specs, state.__getitem__, path, config=config, storage=storage, shard_bytes=shard_bytes, on_tensor=on_tensor
    )


def write_checkpoint(
    specs: Specs,
    read: Callable[[str], torch.Tensor],
    path: Path,
    *,
    config: ModelConfig | None = None,
    storage: str = "native",
    shard_bytes: int = SHARD_BYTES,
    on_tensor: OnTensor | None = None,
) -> list[Path]:
    """As `save`, with tensors read when their shard is written: memory holds one shard, not the model."""
    metadata = {"format": "pt", "muybridge_format": str(FORMAT_VERSION), "muybridge_storage": storage}
    if config is not None:
        metadata |= {"muybridge_size": config.name, "muybridge_config": config.to_json()}
    shards = plan_shards(specs, shard_bytes)
    folder = path.parent if path.suffix == ".safetensors" else path
    if path.suffix == ".safetensors" and len(shards) > 1:
        raise UserError(f"{path} would be over {shard_bytes} bytes; give a folder to write shards.")
    folder.mkdir(parents=True, exist_ok=True)
    # Shard names carry a fresh tag, so new shards never overwrite those that the old index still points to.
    tag = secrets.token_hex(4)
    names = [f"model-{tag}-{i + 1:05d}-of-{len(shards):05d}.safetensors" for i in range(len(shards))]
    if len(shards) == 1:
        names = [path.name if path.suffix == ".safetensors" else SINGLE_NAME]
    done, total = 0, sum(spec.num_bytes for spec in specs.values())
    for name, shard in zip(names, shards, strict=True):
        tensors = {key: read(key).detach().to("cpu").contiguous() for key in shard}
        _replace(folder / name, lambda temp, tensors=tensors: save_file(tensors, temp, metadata))  # type: ignore[misc]  # mypy cannot infer a default-bound lambda
        done += sum(specs[key].num_bytes for key in shard)
        if on_tensor:
            on_tensor(done, total)
    if path.suffix == ".safetensors":
        return [path]
    if len(shards) > 1:
        weight_map = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        _replace(folder / INDEX_NAME, lambda temp: temp.write_text(json.dumps(index, indent=1)))
    else:
        (folder / INDEX_NAME).unlink(missing_ok=True)
    _remove_stale(folder, keep=set(names))
    return [folder / name for name in names]


def plan_shards(specs: Specs, shard_bytes: int) -> list[list[str]]:
    """Names in their given order, cut so that each shard holds at most `shard_bytes` (or one larger tensor)."""
    shards: list[list[str]] = [[]]
    size = 0
    for name, spec in specs.items():
        if shards[-1] and size + spec.num_bytes > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += spec.num_bytes
    return shards


def _replace(target: Path, write: Callable[[Path], Any]) -> None:
    """Write into a temporary neighbour folder, flush to disk, then take the target's name in one step.

    A folder, because safetensors makes temporary files of its own beside the one it writes; a killed writer's
    leftovers are then all in one place, which the next save of the same target removes.
    """
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        shutil.rmtree(leftover)
    temp = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temp.mkdir()
    try:
        write(temp / target.name)
        with (temp / target.name).open("rb") as file:
            os.fsync(file.fileno())
        (temp / target.name).replace(target)
    finally:
        shutil.rmtree(temp)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself must survive a power cut
    finally:
        os.close(folder)


def _remove_stale(folder: Path, keep: set[str]) -> None:
    """Delete shards of an earlier save and leftovers of a killed one, after the new index is in place."""
    for leftover in folder.glob(".model*.tmp"):
        shutil.rmtree(leftover)
    for file in [*folder.glob("model-????????-?????-of-?????.safetensors"), folder / SINGLE_NAME]:
        if file.name not in keep:
            file.unlink(missing_ok=True)
