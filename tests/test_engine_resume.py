"""A generation that was saved and loaded, or killed and taken up, gives the same bits as one that was not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_parts import engine, movie, picture

from muybridge.engine import Clip, Engine, GenerationState
from muybridge.engine.state import FORMAT
from muybridge.errors import UserError
from muybridge.request import AudioMode, Beat, Reference, Request

SMALL = Request("a horse runs", size="64x64", seconds=3, num_inference_steps=4, seed=11)
CASES = {
    "euler": ("tiny", {}),
    "distilled": ("15b", {}),
    "unipc with guidance": ("15b-base", {"num_inference_steps": 5}),
    "beats": ("tiny", {"beats": (Beat("she turns", 0, 1.5),), "guidance_scale": 2.0}),
}


def run(made: Engine, state: GenerationState) -> tuple[list[GenerationState], Clip]:
    seen = [state]
    end = made.denoise(state, lambda s, _: seen.append(s))
    return seen, made.decode(end)


def same(a: Clip, b: Clip) -> bool:
    return np.array_equal(a.frames_TYXC, b.frames_TYXC) and np.array_equal(a.waveform_CS, b.waveform_CS)


@pytest.mark.parametrize("case", CASES)
def test_saved_at_any_step_and_loaded_it_ends_in_the_same_bits(case: str) -> None:
    size, changes = CASES[case]
    made = engine(size)
    seen, clip = run(made, made.encode(SMALL.replace(**changes)))
    assert len(seen) == 1 + made.num_steps(seen[0])
    for state in seen:
        loaded = GenerationState.from_bytes(state.to_bytes())
        assert (loaded.stage, loaded.step, loaded.window, loaded.request) == (
            state.stage,
            state.step,
            state.window,
            state.request,
        )
        assert same(made.decode(made.denoise(loaded)), clip), state.step


@pytest.mark.parametrize("size", ["tiny", "15b"], ids=["euler", "unipc"])
def test_the_upscaler_resumes_at_each_of_its_steps(size: str) -> None:
    made = engine(size)
    seen, clip = run(made, made.encode(SMALL.replace(size="480x288", num_inference_steps=1)))
    large = [s for s in seen if s.stage == "upscaler"]
    assert len(large) == made.num_steps(large[0])
    for state in (large[0], large[-1]):
        assert same(made.decode(made.denoise(GenerationState.from_bytes(state.to_bytes()))), clip)


def test_every_mode_can_be_saved(tmp_path: Path) -> None:
    """A kept voice is the audio latent itself: one tensor in two places must not stop the checkpoint."""
    made, clip = engine(), movie(tmp_path / "a.mp4")
    still = picture(tmp_path / "a.png")
    modes = [
        {"audio": clip},
        {"video": clip},
        {"video": clip, "audio_mode": AudioMode.KEEP},
        {"image": still, "last_image": still},
        {"references": (Reference(still, "Image 1"), Reference(still, "Image 2"))},
    ]
    for changes in modes:
        seen, wanted = run(made, made.encode(SMALL.replace(num_inference_steps=2, **changes)))
        loaded = GenerationState.from_bytes(seen[1].to_bytes())
        assert same(made.decode(made.denoise(loaded)), wanted), changes


CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from engine_parts import engine
from muybridge.request import Request

def save(state, progress):
    new = Path(sys.argv[2] + ".new")
    new.write_bytes(state.to_bytes())
    new.replace(sys.argv[2])
    print(state.step, flush=True)
    if state.step == int(sys.argv[1]):
        time.sleep(600)  # killed here, or a little earlier

made = engine()
made.finish(made.encode(Request("a horse runs", size="64x64", seconds=3, num_inference_steps=4, seed=11)), save)
"""


@pytest.mark.parametrize("step", [1, 3])
def test_killed_in_the_middle_another_process_finishes_the_same_clip(tmp_path: Path, step: int) -> None:
    checkpoint = tmp_path / "state"
    command = [sys.executable, "-c", CHILD, str(step), str(checkpoint), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) == step:
                break
        child.send_signal(signal.SIGKILL)
        assert child.wait(30) == -signal.SIGKILL
    state = GenerationState.from_bytes(checkpoint.read_bytes())
    assert state.step == step
    made = engine()
    assert same(made.finish(state), made.generate(SMALL))


def test_a_checkpoint_is_small_and_quickly_made() -> None:
    made = engine()
    state = made.encode(SMALL.replace(size="448x256", seconds=5))
    begun = time.process_time()
    blob = state.to_bytes()
    assert len(blob) < 4 * 2**20  # facts: 2.75 MB of latents for 5 s at the base size
    assert time.process_time() - begun < 5


def damaged() -> list[bytes]:
    blob = engine().encode(SMALL).to_bytes()
    from safetensors.torch import save

    return [
        b"",
        b"hello",
        b"\xff" * 64,
        blob[: len(blob) // 2],
        blob[:200],
        blob.replace(f'\\"format\\": {FORMAT}'.encode(), b'\\"format\\": 9'),
        blob.replace(b'\\"format\\"', b'\\"fromat\\"'),
        blob.replace(b'\\"step\\"', b'\\"stop\\"'),
        blob.replace(b"text.roles_N", b"text.rules_N"),
        save({"x": torch.zeros(2)}),
        save({"x": torch.zeros(2)}, {"muybridge": "[]"}),
        save({"x": torch.zeros(2)}, {"muybridge": "{}"}),
        save({"x": torch.zeros(2)}, {"muybridge": json.dumps({"format": FORMAT})}),
    ]


def test_a_damaged_checkpoint_is_named_as_such() -> None:
    for blob in damaged():
        with pytest.raises(UserError, match=r"checkpoint|start"):
            GenerationState.from_bytes(blob)
