"""All arithmetic between seconds, pixels, latents and tokens, and what a job costs. No torch, no literals elsewhere.

The clock (DESIGN.md 2): 25 frames a second; one unit is one video latent is 4 frames is 160 ms; one audio latent per
frame. k+1 video latents always go with A = 4k+1 audio latents, so both streams cover the same 4k+1 frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from muybridge.config import ModelConfig, model_config
from muybridge.errors import InvalidRequest

if TYPE_CHECKING:
    from muybridge.request import Request

FPS = 25
STRIDE_T, STRIDE_Y, STRIDE_X = 4, 16, 16
LATENT_CHANNELS = 48
AUDIO_CHANNELS = 64
PATCH = 2  # latent rows and columns in one token
GRID = STRIDE_Y * PATCH  # rendered sizes are multiples of this many pixels
BASE_AREA = 448 * 256  # pixels of the base stage, at any aspect ratio
# Of sizes that were trained on other pictures than the open 15B's.
BASE_AREAS = {"tiny": 224 * 128, "tiny-base": 224 * 128, "tiny-draft": 448 * 256}  # a draft: what the camera will see
# Pixels up to which a size's upscaler was trained; larger pictures are interpolated from it.
UPSCALE_AREAS = {"tiny": 448 * 256, "tiny-base": 448 * 256}
# Longest window of a long programme, of sizes that draw lips best in clips as short as those they were trained on.
# Twice the shortest clip less an overlap must fit in it, or some lengths could not be cut.
WINDOW_SECONDS = {"tiny": 5.6, "tiny-base": 5.6}

SMALL_UPSCALE_AREA = 1024 * 576  # pixels up to which the open 15B upscales with full attention

MIN_SECONDS, MAX_SECONDS = 3.0, 15.0
MIN_SIDE, MAX_LONG_SIDE, MAX_SHORT_SIDE = 64, 1920, 1080
RATIOS: dict[str, tuple[int, int]] = {
    r: (int(r.split(":")[0]), int(r.split(":")[1]))
    for r in ("16:9", "9:16", "1:1", "4:3", "3:4", "21:9", "9:21", "5:4", "4:5")
}
TIERS: dict[str, int] = {"256p": 256, "480p": 480, "720p": 720, "1080p": 1080}


class PixelSize(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def on_grid(self) -> PixelSize:
        """The smallest rendered size that covers this one: both sides multiples of 32."""
        return PixelSize(-(-self.width // GRID) * GRID, -(-self.height // GRID) * GRID)

    @property
    def latent(self) -> tuple[int, int]:
        """(rows, columns) of the latent."""
        return self.height // STRIDE_Y, self.width // STRIDE_X

    @property
    def tokens_per_latent(self) -> int:
        """Video tokens in one latent frame."""
        rows, cols = self.latent
        return (rows // PATCH) * (cols // PATCH)


class Clock(NamedTuple):
    """The lengths of one clip: everything follows from the number of frames asked for."""

    num_frames: int  # delivered
    num_units: int  # k: clock units, 160 ms each

    @property
    def num_video_latents(self) -> int:
        """T = k + 1."""
        return self.num_units + 1

    @property
    def num_audio_latents(self) -> int:
        """A = 4k + 1: one per decoded frame."""
        return STRIDE_T * self.num_units + 1

    @property
    def num_decoded_frames(self) -> int:
        """4k + 1; the frames after `num_frames` are cut."""
        return STRIDE_T * self.num_units + 1

    @property
    def seconds(self) -> float:
        """Delivered length, exactly num_frames / 25."""
        return self.num_frames / FPS

    def num_samples(self, sample_rate: int) -> int:
        """Delivered audio samples: the sample at which the frame after the last one would start."""
        return sample_at_frame(self.num_frames, sample_rate)


def clock(seconds: float) -> Clock:
    """The clock of a clip of `seconds`: n = round(25 s) frames, k = round-half-up(n / 4), so 4k+1 >= n always."""
    num_frames = round(seconds * FPS)
    return Clock(num_frames, (num_frames + 2) // STRIDE_T)


def sample_at_frame(frame: int, sample_rate: int) -> int:
    """First sample of `frame`, both counted from the start of the whole programme (never of a window).

    Exact for every rate that 25 divides (24, 44.1, 48 kHz ...), else rounded down once: errors cannot add up.
    """
    return frame * sample_rate // FPS


@dataclass(frozen=True)
class Window:
    """A part of a long programme, on the programme's own clock. `start_unit` is absolute."""

    start_unit: int
    clock: Clock
    overlap_units: int = 0  # leading latents handed on from the window before

    @property
    def start_frame(self) -> int:
        """Absolute frame at which this window starts."""
        return self.start_unit * STRIDE_T


def parse_size(size: str, ratio: str = "16:9") -> PixelSize:
    """The delivered size of `448x256`, `480p`, `720p` or `1080p` at one of the nine ratios.

    A tier is the 16:9 (or 9:16) frame of that height; other ratios fit inside it, even on both sides.
    Raises InvalidRequest.
    """
    if ratio not in RATIOS:
        raise InvalidRequest(f"ratio {ratio!r} is not supported; choose one of {', '.join(RATIOS)}.", "ratio")
    if size in TIERS:
        if size == "256p":
            return base_size(*RATIOS[ratio])
        across, down = RATIOS[ratio]
        short, long = TIERS[size], round(TIERS[size] * 16 / 9 / 2) * 2
        box_w, box_h = (long, short) if across >= down else (short, long)
        scale = min(box_w / across, box_h / down)
        return PixelSize(round(across * scale / 2) * 2, round(down * scale / 2) * 2)
    try:
        width, height = (int(v) for v in size.lower().split("x"))
    except ValueError:
        raise InvalidRequest(
            f"size {size!r} is not understood; give WIDTHxHEIGHT or one of {', '.join(TIERS)}.", "size"
        ) from None
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_LONG_SIDE or min(width, height) > MAX_SHORT_SIDE:
        raise InvalidRequest(
            f"size {width}x{height} is out of range; both sides from {MIN_SIDE}, at most 1920x1080 or 1080x1920.",
            "size",
        )
    if width % 2 or height % 2:
        raise InvalidRequest(f"size {width}x{height} has an odd side; H.264 4:2:0 needs even ones.", "size")
    return PixelSize(width, height)


def base_size(across: float, down: float, pixels: int = BASE_AREA) -> PixelSize:
    """The base stage's size at an aspect ratio: multiples of 32, area near `pixels`, the ratio weighed most."""
    want = math.log(across / down)

    def misfit(size: PixelSize) -> tuple[float, int]:
        shape = abs(math.log(size.width / size.height) - want)
        area = abs(math.log(size.width * size.height / pixels))
        return 2 * shape + area, size.width

    sides = range((4 if pixels == BASE_AREA else 3) * GRID, 24 * GRID, GRID)
    return min((PixelSize(w, h) for w in sides for h in sides), key=misfit)


# Steps and guidance passes where they are not 8 and 1; tests hold them against engine/sampling.py.
BASE_STEPS = {"15b-base": (32, 2), "tiny-base": (12, 2), "tiny": (8, 2), "tiny-draft": (32, 2)}
GUIDED_BY_PHONES = ("tiny",)  # a pass that guidance by the prompt comes on top of


@dataclass(frozen=True)
class StagePlan:
    """One denoising stage: at which size, on which clock, with how many tokens, steps and passes."""

    name: str  # base | upscaler
    size: PixelSize
    clock: Clock
    num_text_tokens: int
    num_extra_tokens: int  # clean reference and source tokens
    num_inference_steps: int
    num_passes: int  # 2 with classifier-free guidance

    @property
    def num_video_tokens(self) -> int:
        """Noisy video tokens."""
        return self.clock.num_video_latents * self.size.tokens_per_latent

    @property
    def num_tokens(self) -> int:
        """The whole sequence."""
        return self.num_video_tokens + self.clock.num_audio_latents + self.num_text_tokens + self.num_extra_tokens


@dataclass(frozen=True)
class Machine:
    """What a device sustains, for estimates: `muybridge doctor` measures this machine's own."""

    name: str
    linear_flops_per_s: float
    attention_flops_per_s: float
    memory_bytes: int


# From the published 1.6 s (base), 31.0 s (upscaler) and 5.8 s (decode) for 5 s of 1080p on one H100.
H100 = Machine("one H100 (published times)", 617e12, 617e12, 80 * 10**9)
# The published decode time at that rate; for tiny the operations of its own decoder.
DECODE_FLOPS_PER_PIXEL = {"15b": 5.8 * 617e12 / (125 * 1920 * 1088), "tiny": 2.0e4}


@dataclass(frozen=True)
class StageCost:
    """The work of one stage."""

    name: str
    linear_flops: float
    attention_flops: float
    num_tokens: int
    weight_bytes: int
    activation_bytes: int


@dataclass(frozen=True)
class Cost:
    """What a request takes: in operations, peak memory and seconds on a machine."""

    flops: float
    bytes: int
    seconds: float
    stages: tuple[StageCost, ...]


def linear_flops_per_token(config: ModelConfig) -> float:
    """2 x the linear weights that touch one token (10.91e9 weights in the open 15B)."""
    per_layer = config.hidden_size * (config.qkvg_size + config.hidden_size)
    return 2.0 * sum(
        per_layer + config.hidden_size * config.intermediate_size(i) * (2 if i in config.gelu7_layers else 3)
        for i in range(config.num_layers)
    )


def local_attention_share(num_latents: int, field: int) -> float:
    """Share of video-video pairs inside +-field latent frames: sum of window sizes / T^2."""
    seen = sum(min(num_latents - 1, i + field) - max(0, i - field) + 1 for i in range(num_latents))
    return seen / num_latents**2


def attention_flops(config: ModelConfig, plan: StagePlan) -> float:
    """4 N^2 D a layer where attention is full; local layers count their window and the audio and text keys."""
    num_local = len(config.local_layers)
    video, total = plan.num_video_tokens, plan.num_tokens
    share = local_attention_share(plan.clock.num_video_latents, config.frame_receptive_field)
    pairs_local = total**2 - (1 - share) * video**2
    return 4.0 * config.hidden_size * ((config.num_layers - num_local) * total**2 + num_local * pairs_local)


def num_parameters(config: ModelConfig) -> int:
    """Every number in the state dict, the rotary bands included (15,299,419,152 for the open 15B)."""
    hidden = config.hidden_size
    per_set = [
        hidden * (config.qkvg_size + hidden)
        + hidden * config.intermediate_size(i) * (2 if i in config.gelu7_layers else 3)
        + 2 * hidden
        + 2 * config.head_dim
        for i in range(config.num_layers)
    ]
    blocks = sum(n * config.num_copies(i) for i, n in enumerate(per_set))
    embedders = sum(
        hidden * (c + 1) for c in (config.video_in_channels, config.audio_in_channels, config.text_in_channels)
    )
    final = hidden * (config.video_in_channels + config.audio_in_channels) + 2 * hidden
    return blocks + embedders + final + config.num_bands + config.num_roles * hidden


def plan_stages(request: Request, size: str, num_text_tokens: int = 300) -> tuple[StagePlan, ...]:
    """The stages that `request` runs at model size `size`: base, and the upscaler where more pixels are asked for."""
    out = request.pixel_size
    ticks = clock(request.seconds)
    pixels = BASE_AREAS.get(size, BASE_AREA)
    base = base_size(out.width, out.height, pixels) if out != PixelSize(448, 256) or size in BASE_AREAS else out
    is_large = out.width > base.width or out.height > base.height
    base = base if is_large else out.on_grid  # less is asked for than the base makes: make just that
    per_image = base.tokens_per_latent
    source = ticks.num_video_latents * per_image + ticks.num_audio_latents if request.video else 0
    extra = len(request.references) * (per_image + 1) + source
    steps, passes = BASE_STEPS.get(size, (8, 1))
    if request.guidance_scale is not None:
        passes = 1 if request.guidance_scale == 1.0 else 2 + (size in GUIDED_BY_PHONES)
    steps = request.num_inference_steps or steps
    stages = [StagePlan("base", base, ticks, num_text_tokens, extra, steps, passes)]
    if is_large:
        steps = 5 if size.startswith("15b") else 2
        most = UPSCALE_AREAS.get(size, out.width * out.height)
        large = base_size(out.width, out.height, most) if out.width * out.height > most else out.on_grid
        stages.append(StagePlan("upscaler", large, ticks, num_text_tokens, 0, steps, 1))
    return tuple(stages)


def cost(request: Request, size: str, machine: Machine = H100) -> Cost:
    """Operations, peak bytes and seconds of `request` at model size `size`, from closed formulas (facts: 15B, 5 s)."""
    stages = []
    for plan in plan_stages(request, size):
        config = model_config(_stage_size(size, plan))
        runs = plan.num_inference_steps * plan.num_passes
        weight_bytes = num_parameters(config) * 2
        # fp32 residual, its bf16 norm, q k v o, and the widest feed-forward rows (bf16 and fp32) of one layer
        row = (
            config.hidden_size * 6 + config.qkvg_size * 6 + 2 * config.hidden_size * 6 + config.intermediate_size(5) * 8
        )
        stages.append(
            StageCost(
                plan.name,
                linear_flops_per_token(config) * plan.num_tokens * runs,
                attention_flops(config, plan) * runs,
                plan.num_tokens,
                weight_bytes,
                plan.num_tokens * row,
            )
        )
    linear = sum(s.linear_flops for s in stages)
    attention = sum(s.attention_flops for s in stages)
    decode = decode_flops(request, size) / machine.linear_flops_per_s
    seconds = linear / machine.linear_flops_per_s + attention / machine.attention_flops_per_s + decode
    peak = max(s.weight_bytes + s.activation_bytes for s in stages)
    return Cost(linear + attention, peak, seconds, tuple(stages))


def decode_flops(request: Request, size: str) -> float:
    """Operations from latents to the frames of the last stage, of the size's own codec."""
    made = plan_stages(request, size)[-1].size
    pixels = clock(request.seconds).num_decoded_frames * made.width * made.height
    return pixels * DECODE_FLOPS_PER_PIXEL["tiny" if size.startswith("tiny") else "15b"]


def _stage_size(size: str, plan: StagePlan) -> str:
    """The config that runs a stage: the open 15B keeps full attention up to 540p and windows above it."""
    if plan.name == "base":
        return size
    if size.startswith("tiny"):
        return "tiny-upscaler"
    return "15b-1080p" if plan.size.width * plan.size.height > SMALL_UPSCALE_AREA else "15b"
