"""A worker process with the local runner on a small engine of random weights: `python local_worker.py SPEC_JSON`."""

from __future__ import annotations

import sys

import torch

from muybridge.config import TINY, ModelConfig
from muybridge.engine import Engine, random_components
from muybridge.jobs.artifacts import open_artifacts
from muybridge.jobs.store import Store
from muybridge.jobs.worker import WorkerSpec, run_worker
from muybridge.providers import local

SMALL = ModelConfig(
    name="small",
    num_layers=2,
    hidden_size=64,
    head_dim=32,
    num_heads_kv=1,
    text_in_channels=16,
    mm_layers=(0,),
    gelu7_layers=(0,),
    num_roles=TINY.num_roles,
)


def small_engine() -> Engine:
    """The tiny size's code with the smallest useful numbers."""
    torch.set_num_threads(1)
    return Engine(random_components("tiny", shape=SMALL))


def main() -> None:
    spec = WorkerSpec.from_json(sys.argv[1])
    local._loaded["tiny"] = small_engine()
    run_worker(Store.open(spec.database), open_artifacts(spec.artifacts), local.runner, spec=spec, max_jobs=1)


if __name__ == "__main__":
    main()
