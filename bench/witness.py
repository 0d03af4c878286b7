"""How well the evaluators' witness sees people and places that it was not fitted on, without MediaPipe's help.

    python bench/witness.py [--scenes 40] [--keep]

Draws scenes of the test split (0.1 s of processor time a frame) and asks about them: correlation of the mouth's
opening, where the face is (median error in face heights), share of right answers per attribute. `--keep` first stores
this machine's witness in eight bits a weight where a checkout carries it, and asks that one.
"""

from __future__ import annotations

import argparse

from muybridge.evaluate.fitting import examine
from muybridge.suites import drawings
from muybridge.suites.fitted import carried, witness


def main() -> None:
    """Prints one row a measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--keep", action="store_true", help="store it in the checkout")
    asked = parser.parse_args()
    eye = witness()
    if asked.keep:
        eye.save(carried(), storage="int8")
        eye = eye.load(carried())
    sight = examine(eye, drawings.draw(asked.scenes, "test"))
    print(f"{'opening, r':24} {sight.aperture_r:6.2f}")
    print(f"{'mouth off by':24} {sight.mouth_error:6.2f}")
    print(f"{'face size off by':24} {sight.size_error:6.2f}")
    for name, share in sight.right.items():
        print(f"{name:24} {share:6.2f}")


if __name__ == "__main__":
    main()
