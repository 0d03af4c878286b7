"""Where the upscaler starts: the base latent enlarged and partly noised, and the sound it listens to.

Shapes: B batch, C channels, T latent frames or audio latents, Y X latent rows/cols.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as functional
from torch import Tensor

NOISE_LEVEL = 220
"""Entry of the zero-terminal-SNR table at which the 15B's upscalers start."""
AUDIO_NOISE_SCALE = 0.7


@cache
def zero_terminal_snr_table(num_timesteps: int = 1000, beta_start: float = 0.00085, beta_end: float = 0.012) -> Tensor:
    """sqrt(alpha_bar) of a DDPM, float64 [num_timesteps], rescaled so that the last entry is exactly 0.

    beta is linear in its square root (latent diffusion). Source: Lin et al. 2023 (arXiv 2305.08891), algorithm 1.
    """
    beta = torch.linspace(beta_start**0.5, beta_end**0.5, num_timesteps, dtype=torch.float64) ** 2
    signal = torch.cumprod(1.0 - beta, dim=0).sqrt()
    return (signal - signal[-1]) * (signal[0] / (signal[0] - signal[-1]))


def start_coefficients(level: int = NOISE_LEVEL) -> tuple[float, float]:
    """(signal, noise) with signal^2 + noise^2 = 1; (0.83891, 0.54427) at the published level."""
    signal = float(zero_terminal_snr_table()[level])
    return signal, (1.0 - signal**2) ** 0.5


def enlarge(latent_BCTYX: Tensor, num_rows: int, num_cols: int, align_corners: bool = True) -> Tensor:
    """Trilinear enlargement to num_rows x num_cols, length unchanged.

    align_corners=True is what the published weights were run with; it moves content by up to 0.38 base latents at the
    edges against a first frame encoded at full size, which shows as ghosts in the first frames. False does not.
    """
    size = (latent_BCTYX.shape[2], num_rows, num_cols)
    return functional.interpolate(latent_BCTYX, size=size, mode="trilinear", align_corners=align_corners)


def upscale_start(
    latent_BCTYX: Tensor, noise_BCTYX: Tensor, *, level: int = NOISE_LEVEL, align_corners: bool = True
) -> Tensor:
    """x at the upscaler's first step: the base latent at the size of `noise_BCTYX`, noised to `level`.

    The sampler then runs from sigma 0.9998 although this x is mostly signal: the upscaler learned a flow from the
    noised enlarged latent (sigma 1) to the full-size latent (sigma 0), not ordinary denoising.
    """
    signal, noise_scale = start_coefficients(level)
    enlarged = enlarge(latent_BCTYX, noise_BCTYX.shape[3], noise_BCTYX.shape[4], align_corners)
    return enlarged * signal + noise_BCTYX * noise_scale


def near_start(enlarged_BCTYX: Tensor, noise_BCTYX: Tensor, noise_scale: float) -> Tensor:
    """x at the first step of an upscaler that starts at the enlarged picture's own latent, whole, and some noise."""
    return enlarged_BCTYX + noise_scale * noise_BCTYX


def audio_context(audio_BTC: Tensor, noise_BTC: Tensor, noise_scale: float = AUDIO_NOISE_SCALE) -> Tensor:
    """The sound as the upscaler hears it, fixed for all its steps: 0.7 * noise + 0.3 * base audio latent."""
    return noise_BTC * noise_scale + audio_BTC * (1.0 - noise_scale)
