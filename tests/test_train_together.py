"""Several processes on one run: two that share a step do what one does with both batches."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import torch

RUN = """
import sys, time
from pathlib import Path

import torch
from torch import nn

from muybridge.model.weights import save
from muybridge.train.trainer import Recipe, train

pause, accumulate, out, minutes = float(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4])
true = torch.linspace(-1, 1, 12).reshape(3, 4)


def build():
    torch.manual_seed(0)
    return {"map": nn.Linear(4, 3, bias=False)}


def batch(number, device):
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(number))


def loss(modules, x):
    time.sleep(pause)
    return {"loss": (modules["map"](x) - x @ true.T).square().mean()}


recipe = Recipe("line", {"accumulate": 0}, build, batch, loss, lambda m, f: None, num_steps=40, learning_rate=0.05,
                warmup_steps=1, accumulate=accumulate, average_decay=0.5)
train(recipe, out, device="cpu", quiet=True, save_every_s=0.1, minutes=minutes)
"""


def start(tmp_path: Path, size: int, *values: object) -> list[subprocess.Popen[bytes]]:
    """The script with its values, in `size` processes that are told of each other as torchrun tells them."""
    script = tmp_path / "run.py"
    script.write_text(RUN)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"OMP_NUM_THREADS": "1", "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        subprocess.Popen(
            [sys.executable, str(script), *map(str, values)],
            env={**os.environ, **shared, "RANK": str(number), "LOCAL_RANK": str(number)},
        )
        for number in range(size)
    ]


def run(tmp_path: Path, size: int, *values: object) -> None:
    """The same to its end, which has to be a good one."""
    assert [process.wait(120) for process in start(tmp_path, size, *values)] == [0] * size


def learned(folder: Path) -> tuple[int, torch.Tensor]:
    """How far a run came, and its matrix."""
    state = torch.load(folder / "latest.pt", weights_only=True)
    return state["step"], state["modules"]["map"]["weight"]


def test_two_processes_learn_what_one_learns_from_both_batches(tmp_path: Path) -> None:
    run(tmp_path, 1, 0, 2, tmp_path / "one", 5)
    run(tmp_path, 2, 0, 1, tmp_path / "two", 5)
    one, two = learned(tmp_path / "one"), learned(tmp_path / "two")
    assert one[0] == two[0] == 40
    torch.testing.assert_close(one[1], two[1], atol=1e-5, rtol=1e-4)


def test_a_pair_that_is_killed_goes_on_where_it_saved(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(tmp_path, 2, 0, 1, whole, 5)
    pair = start(tmp_path, 2, 0.05, 1, cut, 5)
    while not (cut / "latest.pt").is_file():
        assert [process.poll() for process in pair] == [None, None]
        time.sleep(0.01)
    for process in pair:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert learned(cut)[0] < 40
    run(tmp_path, 2, 0, 1, cut, 5)
    assert learned(cut)[0] == 40
    torch.testing.assert_close(learned(cut)[1], learned(whole)[1], atol=1e-6, rtol=1e-5)


def test_all_stop_together_when_the_time_is_over(tmp_path: Path) -> None:
    run(tmp_path, 2, 0.1, 1, tmp_path / "run", 0.02)
    assert 0 < learned(tmp_path / "run")[0] < 40
