"""One checkpoint on disk: opened, listed, compared with what a model needs, read tensor by tensor.

safetensors only; nothing here runs a pickle. A checkpoint is one file, or a folder with one file, or shards with a
`model.safetensors.index.json`. Our files carry metadata (format version, size name, config JSON, storage); upstream
files carry none.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import torch
from safetensors import SafetensorError, safe_open

from muybridge.config import ModelConfig
from muybridge.errors import WeightsInvalid
from muybridge.model.quantize import SCALE_SUFFIX, dequantize_rows

FORMAT_VERSION = 1
INDEX_NAME = "model.safetensors.index.json"
MAX_NAMED = 8  # tensors named in an error; the rest are counted

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


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


@dataclass
class Checkpoint:
    """An open checkpoint: specs of all tensors from the headers, values one at a time. Use as a context manager.

    Weights stored as int8 rows, int4 groups or bf16 for size (metadata `storage`) appear, and are read, as float32.
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
            listed = set(read_json(index)["weight_map"])
            _raise_differences(str(index), missing=sorted(listed - set(self.specs)))
            _raise_differences(str(index), extra=sorted(set(self.specs) - listed))

    def _fold_storage(self) -> None:
        """Show reduced storage as the float32 it stands for."""
        if self.storage == "native":
            return
        scaled = {n.removesuffix(SCALE_SUFFIX) for n in self.specs if n.endswith(SCALE_SUFFIX)}
        self.specs = {n: spec for n, spec in self.specs.items() if not n.endswith(SCALE_SUFFIX)}
        for name, spec in self.specs.items():
            if name in scaled and spec.dtype == torch.uint8:  # two weights to a byte
                self.specs[name] = TensorSpec((*spec.shape[:-1], 2 * spec.shape[-1]), torch.float32)
            elif spec.dtype in (torch.int8, torch.bfloat16):
                self.specs[name] = TensorSpec(spec.shape, torch.float32)

    @property
    def storage(self) -> str:
        """`native` or one of quantize.py's STORAGES."""
        return self.metadata.get("muybridge_storage", "native")

    def read(self, name: str) -> torch.Tensor:
        """One tensor, in the dtype its spec says."""
        tensor: torch.Tensor = self._files[name].get_tensor(name)
        if tensor.dtype in (torch.int8, torch.uint8) and name + SCALE_SUFFIX in self._files:
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


def read_json(file: Path) -> dict[str, Any]:
    """A config or index beside weights; raises WeightsInvalid where it is absent, broken or not an object."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsInvalid(f"{file} is missing; `muybridge weights pull` fetches the whole folder.") from error
    except (ValueError, OSError) as error:
        raise WeightsInvalid(f"{file} is not readable JSON ({error}); fetch it again.") from error
    if not isinstance(value, dict):
        raise WeightsInvalid(f"{file} holds a JSON {type(value).__name__} where an object belongs.")
    return value


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
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict):
            raise WeightsInvalid(f"{index} is not a shard index: it needs a `weight_map`.")
        names = sorted(set(weight_map.values()))
        if any(Path(name).name != name for name in names):
            raise WeightsInvalid(f"{index} names a shard outside its folder.")
        absent = [name for name in names if not (path / name).is_file()]
        if absent:
            shown = ", ".join(absent[:MAX_NAMED])
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
            more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
            parts.append(f"{len(names)} {kind.replace('_', ' ')} tensors ({', '.join(names[:MAX_NAMED])}{more})")
    if parts:
        raise WeightsInvalid(f"{source} does not fit the model: {'; '.join(parts)}. Is it the checkpoint of this size?")


def check_config(checkpoint: Checkpoint, config: ModelConfig) -> None:
    """Raise WeightsInvalid if the checkpoint says it is another size or config; upstream files say nothing."""
    stored = checkpoint.config()
    if stored is None or stored == config:
        return
    ours, theirs = json.loads(config.to_json()), json.loads(stored.to_json())
    changed = [f"{k}: file {theirs[k]}, wanted {ours[k]}" for k in ours if ours[k] != theirs.get(k)]
    raise WeightsInvalid(
        f"{checkpoint.path} is a checkpoint of size {stored.name!r} ({'; '.join(changed[:MAX_NAMED])})."
    )
