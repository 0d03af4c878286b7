"""Checkpoints: strict reading, atomic writing, and what is inside. safetensors only; nothing here runs a pickle.

A checkpoint is one `model.safetensors` or shards with a `model.safetensors.index.json`. Our files carry metadata
(format version, size name, config JSON, storage); upstream files carry none and are checked by names and shapes alone.
Every difference between file and model is an error that names the tensors; nothing is ever skipped silently.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from muybridge.config import ModelConfig, model_config
from muybridge.errors import UserError, WeightsInvalid
from muybridge.model.quantize import SCALE_SUFFIX, dequantize_rows, quantize_state

if TYPE_CHECKING:
    from torch import nn

    from muybridge.model.transformer import Transformer

FORMAT_VERSION = 1
INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"
SHARD_BYTES = 5 * 10**9
_NAMED = 8  # tensors named in an error; the rest are counted

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip

OnTensor = Callable[[int, int], None]
"""Progress of a load or save: called with (bytes done, bytes in all) after each tensor or shard."""


class TensorSpec(NamedTuple):
    """Shape and dtype of one tensor, without its values."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @staticmethod
    def of(tensor: torch.Tensor) -> TensorSpec:
        """The spec of a tensor, on any device."""
        return TensorSpec(tuple(tensor.shape), tensor.dtype)

    @property
    def num_bytes(self) -> int:
        """Storage without alignment."""
        count = 1
        for side in self.shape:
            count *= side
        return count * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{list(self.shape)} {dtype_name(self.dtype)}"


Specs = Mapping[str, TensorSpec]


def dtype_name(dtype: torch.dtype) -> str:
    """`float32`, `bfloat16`, ..."""
    return str(dtype).removeprefix("torch.")


def module_specs(module: nn.Module) -> dict[str, TensorSpec]:
    """Names, shapes and dtypes of everything the module stores (on the meta device too)."""
    return {name: TensorSpec.of(tensor) for name, tensor in module.state_dict().items()}


def is_block_matrix(name: str, spec: TensorSpec) -> bool:
    """Whether the policy keeps this tensor in the low precision: the matrices inside blocks, nothing else.

    Norms, adapter, rotary bands and final layers stay float32; casting them too gave visible differences in another
    port (mean 0.114 per pixel).
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


# --- reading ----------------------------------------------------------------------------------------------------


@dataclass
class Checkpoint:
    """An open checkpoint: specs of all tensors from the headers, values one at a time. Use as a context manager.

    Weights stored as int8 rows or bf16 for size (metadata `storage`) appear, and are read, as float32.
    """

    path: Path
    specs: dict[str, TensorSpec] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    _files: dict[str, Any] = field(default_factory=dict, repr=False)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, repr=False)

    @staticmethod
    def open(path: Path, device: str = "cpu") -> Checkpoint:
        """Open a file or folder; raises WeightsInvalid if it is missing, damaged, compressed or inconsistent."""
        checkpoint = Checkpoint(path)
        try:
            for file in checkpoint_files(path):
                checkpoint._add(file, device)
            checkpoint._check_index()
            checkpoint._fold_storage()
        except BaseException:
            checkpoint.close()
            raise
        return checkpoint

    def _add(self, file: Path, device: str) -> None:
        try:
            handle = self._stack.enter_context(safe_open(file, framework="pt", device=device))
            metadata = handle.metadata() or {}
            for name in handle.keys():  # noqa: SIM118  a safetensors handle is not a dict
                if name in self._files:
                    raise WeightsInvalid(f"{self.path}: tensor {name} is stored twice; the last time in {file.name}.")
                piece = handle.get_slice(name)
                dtype = _DTYPES.get(piece.get_dtype())
                if dtype is None:
                    raise WeightsInvalid(f"{file}: {name} has the unsupported dtype {piece.get_dtype()}.")
                self.specs[name] = TensorSpec(tuple(piece.get_shape()), dtype)
                self._files[name] = handle
        except (SafetensorError, OSError) as error:
            raise WeightsInvalid(
                f"{file} is not a whole safetensors file ({error}). Download or copy it again; "
                "`muybridge weights verify` finds damaged files."
            ) from error
        ours = {k: v for k, v in metadata.items() if k.startswith("muybridge_")}
        if self.metadata and ours != self.metadata:
            raise WeightsInvalid(f"{file} belongs to another checkpoint than its neighbours: its metadata differ.")
        self.metadata = ours
        version = ours.get("muybridge_format", str(FORMAT_VERSION))
        if version != str(FORMAT_VERSION):
            raise WeightsInvalid(f"{file} has format version {version}; this Muybridge reads {FORMAT_VERSION}.")

    def _check_index(self) -> None:
        index = self.path / INDEX_NAME
        if self.path.is_dir() and index.exists():
            listed = set(json.loads(index.read_text())["weight_map"])
            _raise_differences(str(index), missing=sorted(listed - set(self.specs)))
            _raise_differences(str(index), extra=sorted(set(self.specs) - listed))

    def _fold_storage(self) -> None:
        """Show reduced storage as the float32 it stands for."""
        if self.storage == "native":
            return
        for name in [n for n in self.specs if n.endswith(SCALE_SUFFIX)]:
            del self.specs[name]
        for name, spec in self.specs.items():
            if spec.dtype in (torch.int8, torch.bfloat16):
                self.specs[name] = TensorSpec(spec.shape, torch.float32)

    @property
    def storage(self) -> str:
        """`native`, `int8` or `bfloat16`."""
        return self.metadata.get("muybridge_storage", "native")

    def read(self, name: str) -> torch.Tensor:
        """One tensor, in the dtype its spec says."""
        tensor: torch.Tensor = self._files[name].get_tensor(name)
        if tensor.dtype == torch.int8 and name + SCALE_SUFFIX in self._files:
            return dequantize_rows(tensor, self._files[name + SCALE_SUFFIX].get_tensor(name + SCALE_SUFFIX))
        return tensor.to(self.specs[name].dtype)

    def config(self) -> ModelConfig | None:
        """The transformer config written into the file, if it is one of ours."""
        text = self.metadata.get("muybridge_config")
        return ModelConfig.from_json(text) if text else None

    def close(self) -> None:
        """Unmap the files."""
        self._files.clear()
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def checkpoint_files(path: Path) -> list[Path]:
    """The safetensors files of a checkpoint: a file itself, a folder's indexed shards, or its only file."""
    if path.name.endswith(".zst") or (path.is_dir() and not any(path.glob("*.safetensors"))):
        packed = [path] if path.name.endswith(".zst") else sorted(path.glob("*.safetensors.zst"))
        if packed:
            raise WeightsInvalid(f"{packed[0]} is compressed; unpack it first: zstd -d --rm {packed[0].parent}/*.zst")
    if path.is_file():
        return [path]
    index = path / INDEX_NAME
    if index.exists():
        try:
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise WeightsInvalid(f"{index} is not a shard index: it needs a `weight_map`.") from error
        if any(Path(name).name != name for name in names):
            raise WeightsInvalid(f"{index} names a shard outside its folder.")
        absent = [name for name in names if not (path / name).is_file()]
        if absent:
            shown = ", ".join(absent[:_NAMED])
            raise WeightsInvalid(f"{path} lacks {len(absent)} of {len(names)} shards: {shown}. Run the pull again.")
        return [path / name for name in names]
    files = sorted(path.glob("*.safetensors"))
    if len(files) != 1:
        what = "no *.safetensors" if not files else f"{len(files)} *.safetensors but no {INDEX_NAME}"
        raise WeightsInvalid(
            f"{path} is not a checkpoint: it has {what}. `muybridge weights pull` fetches the weights."
        )
    return files


def check_state(found: Specs, wanted: Specs, *, source: str, any_float: bool = False) -> None:
    """Raise WeightsInvalid unless names, shapes and dtypes agree; float32 may stand for bf16 (it is cast on load).

    `any_float` accepts any float dtype (codecs, which run in one dtype of the caller's choice).
    """
    missing = [name for name in wanted if name not in found]
    extra = [name for name in found if name not in wanted]
    both = [name for name in wanted if name in found]
    shapes = [
        f"{n} {list(found[n].shape)} not {list(wanted[n].shape)}" for n in both if found[n].shape != wanted[n].shape
    ]
    dtypes = [
        f"{n} {dtype_name(found[n].dtype)} not {dtype_name(wanted[n].dtype)}"
        for n in both
        if not _may_become(found[n].dtype, wanted[n].dtype, any_float=any_float)
    ]
    _raise_differences(source, missing=missing, extra=extra, misshapen=shapes, wrong_dtype=dtypes)


def _may_become(found: torch.dtype, wanted: torch.dtype, *, any_float: bool) -> bool:
    if any_float and found.is_floating_point and wanted.is_floating_point:
        return found.itemsize > 1
    return found == wanted or (found == torch.float32 and wanted == torch.bfloat16)


def _raise_differences(source: str, **kinds: list[str]) -> None:
    parts = []
    for kind, names in kinds.items():
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            parts.append(f"{len(names)} {kind.replace('_', ' ')} tensors ({', '.join(names[:_NAMED])}{more})")
    if parts:
        raise WeightsInvalid(f"{source} does not fit the model: {'; '.join(parts)}. Is it the checkpoint of this size?")


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
    assert not left, f"never filled, because not part of the state_dict: {left[:_NAMED]}"


def _assign(module: nn.Module, name: str, tensor: torch.Tensor) -> None:
    owner_name, _, leaf = name.rpartition(".")
    owner = module.get_submodule(owner_name)
    if leaf in owner._parameters:
        owner._parameters[leaf] = torch.nn.Parameter(tensor, requires_grad=False)
    else:
        owner._buffers[leaf] = tensor


def check_config(checkpoint: Checkpoint, config: ModelConfig) -> None:
    """Raise WeightsInvalid if the checkpoint says it is another size or config; upstream files say nothing."""
    stored = checkpoint.config()
    if stored is None or stored == config:
        return
    ours, theirs = json.loads(config.to_json()), json.loads(stored.to_json())
    changed = [f"{k}: file {theirs[k]}, wanted {ours[k]}" for k in ours if ours[k] != theirs.get(k)]
    raise WeightsInvalid(f"{checkpoint.path} is a checkpoint of size {stored.name!r} ({'; '.join(changed[:_NAMED])}).")


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

    `storage` is `native`, `bfloat16` or `int8` (one scale per row): smaller files for small float32 models, read back
    as float32. Atomic: after a crash at any moment the path holds the old checkpoint or the new one, whole.
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
