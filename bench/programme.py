"""Prints what a programme costs in memory and how soon its stream begins, with random weights of a small size.

    python bench/programme.py [--seconds 15 60 300] [--resolution 256x160] [--steps 2] [--model tiny]

With `--model` a person talks, by trained weights and in their own number of steps.

Each length is made in a process of its own, as `muybridge generate --script` makes it: windows, checkpoints, one file
that grows. peak: the process's greatest resident memory; work: the same less what it held before the first window.
first second: processor time until the file can be watched for a second, over that of one window (the run's mean).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SENTENCE = "The weather is nice today, so we are going to the park. "


def measure(seconds: float, resolution: str, steps: int, model: str | None = None) -> dict[str, float]:
    """Make one programme here; peak bytes, seconds of processor time, and when the first second was there."""
    import torch

    from muybridge import load, media
    from muybridge.config import TINY, ModelConfig
    from muybridge.engine import Engine, programme_file, random_components
    from muybridge.errors import MediaInvalid
    from muybridge.request import Request
    from muybridge.speech.pacing import Plan, plan_speech
    from muybridge.speech.talk import parse_talk

    torch.set_num_threads(1)
    shape = ModelConfig(
        name="small", num_layers=2, hidden_size=64, head_dim=32, num_heads_kv=1, text_in_channels=16, mm_layers=(0,),
        gelu7_layers=(0,), num_roles=TINY.num_roles,
    )  # fmt: skip
    engine = Engine(random_components("tiny", shape=shape)) if model is None else load(model)
    spoken = plan_speech(parse_talk(SENTENCE * max(1, int(seconds / 4.5))))
    plan = Plan(tuple(line for line in spoken.lines if line.end_s < seconds - 0.2), seconds, spoken.needed_s)
    request = Request("A person talks.", size=resolution, seconds=3, num_inference_steps=steps)
    if model is not None:
        request = Request("A close-up of a young woman in a studio.", size=resolution, seconds=3)
    first: list[float] = []
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "talk.mp4"
        write = programme_file.GrowingFile.write

        def watched(file: programme_file.GrowingFile, data: bytes) -> int:
            count = write(file, data)
            if not first and b"mdat" in bytes(data):
                spent = time.process_time() - begun
                try:
                    if len(media.read_clip(output, max_seconds=1.0)[0]) >= 25:
                        first.append(spent)
                except MediaInvalid:
                    pass  # the index alone, or less than a fragment
            return count

        setattr(programme_file.GrowingFile, "write", watched)  # noqa: B010  (a watcher in the method's place)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        made = programme_file.make_file(engine, programme_file.Programme(request, seconds, plan), output, "random")
    return {
        "seconds": seconds,
        "windows": len(made.windows),
        "before_bytes": before,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "cpu_s": time.process_time() - begun,
        "first_second_cpu_s": first[0] if first else float("nan"),
    }


def main() -> None:
    """Prints one row a length, ratios to the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=[15.0, 60.0, 300.0], help="lengths; 15 first")
    parser.add_argument("--resolution", default="256x160", help="WIDTHxHEIGHT")
    parser.add_argument("--steps", type=int, default=2, help="denoising steps a window")
    parser.add_argument("--model", help="trained weights, a size or a folder, in the place of random ones")
    parser.add_argument("--child", action="store_true", help="measure one length in this process and print JSON")
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.seconds[0], options.resolution, options.steps, options.model)))
        return
    print("seconds  windows   peak MB   over first   work MB   over first   first second / window")
    rows: list[dict[str, float]] = []
    for seconds in options.seconds:
        size = ["--resolution", options.resolution, "--steps", str(options.steps)]
        size += ["--model", options.model] if options.model else []
        command = [sys.executable, __file__, "--child", "--seconds", str(seconds), *size]
        run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        row = json.loads(run.stdout)
        rows.append(row)
        work, least = (r["peak_bytes"] - r["before_bytes"] for r in (row, rows[0]))
        print(
            f"{seconds:7g}  {row['windows']:7d}   {row['peak_bytes'] / 1e6:7.0f}   "
            f"{row['peak_bytes'] / rows[0]['peak_bytes']:10.3f}   {work / 1e6:7.0f}   {work / least:10.3f}   "
            f"{row['first_second_cpu_s'] / (row['cpu_s'] / row['windows']):21.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
