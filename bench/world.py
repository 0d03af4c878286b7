"""How fast the world is drawn: frames per second by size, with and without masks, and seconds to build a scene.

python bench/world.py [--frames 40]
"""

from __future__ import annotations

import argparse
import time

from muybridge.world import gl, render
from muybridge.world.grammar import sample_scene

SIZES = ((128, 128), (256, 256), (256, 448))


def measure(num_frames: int) -> None:
    """Print one line a size and scene kind."""
    print(gl.context().info["GL_RENDERER"])
    scenes = {
        "one person, studio": sample_scene(11, cast="person", place="studio", seconds=5.0),
        "one person, park": sample_scene(12, cast="person", place="park", seconds=5.0),
        "two people, street": sample_scene(13, cast="pair", place="street", seconds=5.0),
        "horse, meadow": sample_scene(14, cast="horse", place="meadow", seconds=5.0),
    }
    for name, scene in scenes.items():
        started = time.perf_counter()
        built = render.Set(scene)
        built.draw(0, 128, 128)
        print(f"{name}: build and first frame {time.perf_counter() - started:.2f} s")
        for height, width in SIZES:
            built.draw(0, height, width)
            for masks in (False, True):
                started, spent = time.perf_counter(), time.process_time()
                for frame in range(num_frames):
                    built.draw(frame, height, width, masks)
                rate = num_frames / (time.perf_counter() - started)
                cost = (time.process_time() - spent) / num_frames * 1e3
                label = "with masks" if masks else "no masks  "
                print(f"  {width}x{height} {label} {rate:6.1f} frames/s, {cost:6.1f} ms processor time a frame")
        built.release()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=40, help="frames per measurement")
    measure(parser.parse_args().frames)
