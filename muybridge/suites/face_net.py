"""Describes faces with dlib's ResNet; a program by itself, run by whichever Python has it.

    PYTHON face_net.py FOLDER    reads FOLDER/pictures.npy, uint8 [N, Y, X, 3]; prints JSON: 128 numbers or null each

The largest face that the detector finds counts; null where it finds none. Faces are aligned by five points: the larger
predictor's training set may not be used commercially. Needs dlib-bin, face_recognition_models and setuptools before 81;
imports nothing of muybridge.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PACKAGES = ("dlib", "face_recognition_models")
LARGER = 2  # times a picture is enlarged before faces are looked for
SHAKEN = 4  # views of a face, slightly moved and scaled, whose mean describes it


def described(pictures_NYX3: NDArray[np.uint8]) -> list[list[float] | None]:
    """128 numbers a picture, of unit length or so; people are alike below a distance of 0.6 (King 2017)."""
    import dlib  # type: ignore[import-not-found, unused-ignore]  # only in the evaluators' Python
    import face_recognition_models as models  # type: ignore[import-not-found, unused-ignore]  # as above

    detector: Any = dlib.get_frontal_face_detector()
    points: Any = dlib.shape_predictor(models.pose_predictor_five_point_model_location())
    net: Any = dlib.face_recognition_model_v1(models.face_recognition_model_location())
    found: list[list[float] | None] = []
    for picture_YX3 in pictures_NYX3:
        large = dlib.resize_image(np.ascontiguousarray(picture_YX3), float(LARGER))
        boxes = sorted(detector(large, 0), key=lambda box: -box.area())
        if not boxes:
            found.append(None)
            continue
        found.append(list(net.compute_face_descriptor(large, points(large, boxes[0]), SHAKEN)))
    return found


def main(folder: Path) -> None:
    """Describe what lies there."""
    sys.stdout.write(json.dumps(described(np.load(folder / "pictures.npy"))))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
