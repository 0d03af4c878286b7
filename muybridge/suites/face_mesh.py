"""Finds the face in frames with MediaPipe; a program by itself, run by whichever Python has it.

    PYTHON face_mesh.py    reads a line "clip PATH" or "stills PATH", answers with the path of faces.npy

PATH is frames.npy, uint8 [T, Y, X, 3]; the frames of a clip are followed, stills are looked at one by one.

faces.npy is float32 [T, 6]: the middle of the mouth's corners (x over width, y over height), the distance from there
to the middle of the brows over height, and how the head is turned: the nose's place beside the eyes (over their
distance), its place between eyes and mouth, and the angle of the eyes' line in radians. NaN where no face is found.
Needs mediapipe 0.10.21, whose wheel carries its nets (later ones do not); imports nothing of muybridge.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PACKAGES = ("mediapipe",)
CORNERS = (61, 291)  # of the mouth, by the mesh's numbers
EYES, NOSE = (33, 263), 1  # their outer corners, its tip
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)


def faces(frames_TYX3: NDArray[np.uint8], are_stills: bool) -> NDArray[np.float32]:
    """[T, 6] of one clip, or of pictures that have nothing to do with each other."""
    from mediapipe.python.solutions.face_mesh import (  # type: ignore[import-not-found, unused-ignore]  # only there
        FaceMesh,
    )

    high, wide = frames_TYX3.shape[1:3]
    found = np.full((len(frames_TYX3), 6), np.nan, np.float32)
    with FaceMesh(static_image_mode=are_stills, refine_landmarks=True, min_detection_confidence=0.3) as mesh:
        for at, frame in enumerate(frames_TYX3):
            seen = mesh.process(np.ascontiguousarray(frame)).multi_face_landmarks
            if seen:
                places = np.array([[p.x * wide, p.y * high] for p in seen[0].landmark])
                mouth, brows = places[list(CORNERS)].mean(0), places[list(BROWS)].mean(0)
                place = mouth[0] / wide, mouth[1] / high, np.linalg.norm(mouth - brows) / high
                found[at] = *place, *turned(places)
    return found


def turned(places_K2: NDArray[np.float64]) -> tuple[float, float, float]:
    """(turn, nod, tilt) of a mesh, whose numbers do not depend on where the face is and how large."""
    left, right = places_K2[list(EYES)]
    middle, line = (left + right) / 2, right - left
    across = max(float(np.linalg.norm(line)), 1e-6)
    along, down = line / across, np.array([-line[1], line[0]]) / across
    nose, mouth = places_K2[NOSE] - middle, places_K2[list(CORNERS)].mean(0) - middle
    below = float(mouth @ down)
    nod = float(nose @ down) / below if abs(below) > 1e-6 else 0.0
    return float(nose @ along) / across, nod, float(np.arctan2(line[1], line[0]))


def main() -> None:
    """Answer line by line until the end of the input."""
    for line in sys.stdin:
        kind, _, name = line.strip().partition(" ")
        path = Path(name)
        answer = path.with_name("faces.npy")
        np.save(answer, faces(np.load(path), kind == "stills"))
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
