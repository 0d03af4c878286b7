"""Without an upscaler, pixels may be enlarged: exactly the asked size, the base's picture, nothing stretched."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from muybridge.engine import pixels
from muybridge.shapes import PixelSize


@pytest.mark.parametrize(("width", "height"), [(448, 256), (1280, 720), (1920, 1080), (256, 448), (300, 300)])
def test_pictures_cover_the_asked_size_and_keep_their_shape(width: int, height: int) -> None:
    frames = np.zeros((9, 128, 224, 3), np.uint8)
    y, x = np.mgrid[:128, :224]
    frames[:, (y - 63.5) ** 2 + (x - 111.5) ** 2 < 30**2] = 200  # a disc in the middle
    large = pixels.enlarge(frames, PixelSize(width, height))
    assert large.shape == (9, height, width, 3)
    rows, cols = np.nonzero(large[8, :, :, 0] > 100)
    scale = max(width / 224, height / 128)
    assert np.ptp(rows) == pytest.approx(60 * scale, abs=2 * scale)
    assert np.ptp(cols) == pytest.approx(60 * scale, abs=2 * scale)
    assert rows.mean() == pytest.approx((height - 1) / 2, abs=1)
    assert cols.mean() == pytest.approx((width - 1) / 2, abs=1)


def test_flat_pictures_stay_what_they_are() -> None:
    frames = np.full((3, 96, 160, 3), (7, 130, 251), np.uint8)
    assert (pixels.enlarge(frames, PixelSize(640, 360)) == frames[0, 0, 0]).all()


def test_bytes_are_enlarged_as_floats_would_be() -> None:
    y, x = np.mgrid[:64, :96]
    waves = np.stack([127 + 120 * np.sin(x / a) * np.cos(y / b) for a, b in ((3, 5), (7, 2), (11, 13))], -1)
    frames = waves.astype(np.uint8)[None]
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(frames).permute(0, 3, 1, 2).float(), (128, 192), mode="bicubic", align_corners=False
    )
    apart = pixels.enlarge(frames, PixelSize(192, 128)) - wanted.permute(0, 2, 3, 1).numpy()
    assert np.abs(apart).max() < 8
    assert np.abs(apart).mean() < 0.6
