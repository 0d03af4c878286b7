"""A bank of spoken utterances: synthesised once, kept small as Opus, read by the makers of talking clips.

A shard is a pair of files in the bank's folder: `en-train-0000.ogg`, one mono Opus stream of 24 kHz in which utterances
follow each other, and `en-train-0000.json.gz`, which says for each where its samples lie, its text, voice, register,
rate, and the times of phones and words. An hour takes about 12 MB. A shard is a pure function of its name and is
written whole or not at all. `Live` has the same face and calls the voices on the spot.

Letter: S samples.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
import numpy.typing as npt

from muybridge.config import settings
from muybridge.errors import NotFound, UserError
from muybridge.speech.durations import Phone, natural_durations
from muybridge.speech.phonemes import phonemes

from .characters import Identity
from .grammar import SPLITS
from .sentences import LANGUAGES, sentence
from .voices import REGISTERS, SAMPLE_RATE, VOICES, Speech, speak

Floats = npt.NDArray[np.float32]
SHARD = 16  # utterances
BIT_RATE = 24_000
GAP_S = 0.1  # of silence between two utterances of a stream
REGISTER_ODDS = {"calm": 0.25, "neutral": 0.5, "energetic": 0.25}
# Median pitch in Hz as measured on one sentence each; a voice under 176 Hz is a man's.
VOICE_HZ = {
    "af_heart": 216, "am_michael": 112, "bf_emma": 177, "bm_george": 135, "af_bella": 205, "am_fenrir": 151,
    "af_nicole": 180, "am_puck": 128, "zf_xiaoxiao": 237, "zm_yunxi": 139, "zf_xiaoyi": 290, "zm_yunjian": 96,
    "zf_xiaobei": 228, "zm_yunyang": 95, "zf_xiaoni+ff_siwis+jf_nezumi": 249, "zm_yunxi+jm_kumo+ff_siwis": 175,
    "zf_xiaoyi+jf_alpha+ff_siwis": 301, "jf_alpha": 265, "jm_kumo": 85, "jf_nezumi": 225, "jf_gongitsune": 237,
    "jf_tebukuro": 321, "jf_alpha+jf_nezumi": 239, "jm_kumo+am_michael": 100, "ff_siwis+bm_george": 170,
    "ff_siwis+bf_emma": 190, "bm_george+bm_lewis+ff_siwis": 141, "ff_siwis": 208, "ff_siwis+am_michael": 153,
}  # fmt: skip
MAN_HZ = 176


@dataclass(frozen=True, eq=False)
class Utterance:
    """One utterance with its truth; times count from its first sample."""

    speech: Speech
    text: str
    register: str
    rate: float


class Source(Protocol):
    """Where talking clips take their speech from."""

    def pick(
        self, rng: np.random.Generator, split: str, language: str, voice: str, longest_s: float
    ) -> Utterance | None:
        """An utterance of that split, language and voice of at most `longest_s`, or None where there is none."""
        ...


def voice_of(identity: Identity, language: str) -> str:
    """The voice of a person in a language, always the same: by sex, higher for the young and lower for the old."""
    man = identity.masculine > 0.5
    fitting = sorted((v for v in VOICES[language] if (VOICE_HZ[v] < MAN_HZ) == man), key=VOICE_HZ.__getitem__)
    half = -(-len(fitting) // 2)
    if identity.age > 0.72:
        fitting = fitting[:half]
    elif identity.age < 0.4:
        fitting = fitting[-half:]
    digest = hashlib.blake2b(f"voice {language} {identity.seed}".encode(), digest_size=4).digest()
    return fitting[int.from_bytes(digest, "little") % len(fitting)]


def utterance(number: int, split: str, language: str) -> Utterance:
    """Synthesise utterance `number` of a split and language: its sentence, a voice in turn, a register, a rate."""
    rng = np.random.default_rng([0x0771, SPLITS.index(split), LANGUAGES.index(language), number])
    names = tuple(REGISTER_ODDS)
    register = names[int(rng.choice(len(names), p=list(REGISTER_ODDS.values())))]
    rate = round(float(np.clip(rng.normal(1.0, 0.05), 0.9, 1.12)), 3)
    text = sentence(number, split, language)
    voice = VOICES[language][number % len(VOICES[language])]
    return Utterance(speak(text, language, voice, register, rate), text, register, rate)


def shard_names(split: str, languages: Sequence[str], rounds: int) -> list[str]:
    """Names in the order they are built: one shard of every language, then the next of every language."""
    return [f"{language}-{split}-{number:04d}" for number in range(rounds) for language in languages]


def default_folder() -> Path:
    """The bank in the user cache."""
    return settings().home / "utterances"


def build(
    minutes: float,
    split: str = "train",
    folder: Path | None = None,
    languages: Sequence[str] = LANGUAGES,
    quiet: bool = False,
) -> float:
    """Add shards until the split holds `minutes` of speech over the given languages; returns the minutes there are.

    Goes on where it stopped. Raises NotInstalled without the voices, UserError for an unknown language.
    """
    from rich.progress import Progress

    if unknown := set(languages) - set(LANGUAGES):
        raise UserError(f"There is no language {sorted(unknown)}; choose from {', '.join(LANGUAGES)}.")
    folder = folder or default_folder()
    folder.mkdir(parents=True, exist_ok=True)
    total = 0.0
    with Progress(disable=quiet) as bar:
        task = bar.add_task("speaking", total=minutes)
        for name in shard_names(split, languages, 10_000):
            if total >= minutes:
                break
            meta = folder / f"{name}.json.gz"
            if not meta.is_file():
                _make_shard(folder, name)
            total += sum(row["samples"] for row in _read_meta(meta)) / SAMPLE_RATE / 60
            bar.update(task, completed=min(total, minutes))
    return total


def _make_shard(folder: Path, name: str) -> None:
    language, split, number = name.split("-")
    made = [utterance(int(number) * SHARD + k, split, language) for k in range(SHARD)]
    write_shard(folder, name, made)


def write_shard(folder: Path, name: str, made: Sequence[Utterance]) -> None:
    """Both files of a shard; the second one comes last and says that the shard is whole."""
    rows: list[dict[str, Any]] = []
    gap = np.zeros(round(GAP_S * SAMPLE_RATE), np.float32)
    waves, at = [], 0
    for item in made:
        wave_S = item.speech.waveform_S
        rows.append(
            {
                "start": at, "samples": len(wave_S), "text": item.text, "voice": item.speech.voice,
                "language": item.speech.language, "register": item.register, "rate": item.rate,
                "phones": _packed(item.speech.phones), "words": _packed(item.speech.words),
            }
        )  # fmt: skip
        waves += [wave_S, gap]
        at += len(wave_S) + len(gap)
    _write_whole(folder / f"{name}.ogg", _opus(np.concatenate(waves)))
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    _write_whole(folder / f"{name}.json.gz", gzip.compress(text.encode(), mtime=0))


def _packed(phones: Sequence[Phone]) -> list[list[Any]]:
    """[symbol, start ms, end ms, ends word]; a tenth of a millisecond is kept."""
    return [[p.symbol, round(p.start_s * 1000, 1), round(p.end_s * 1000, 1), int(p.ends_word)] for p in phones]


def _unpacked(rows: Sequence[Sequence[Any]]) -> tuple[Phone, ...]:
    return tuple(Phone(symbol, start / 1000, end / 1000, bool(ends)) for symbol, start, end, ends in rows)


def _write_whole(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _opus(waveform_S: Floats) -> bytes:
    """Mono Opus in Ogg. Peaks over 1 are scaled down by the caller's gain limits, so clipping is a bug here."""
    import io

    out = io.BytesIO()
    with av.open(out, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=SAMPLE_RATE, layout="mono", bit_rate=BIT_RATE)
        pcm = np.clip(waveform_S, -1, 1) * 32767
        frame = av.AudioFrame.from_ndarray(pcm.astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return out.getvalue()


def _decode(path: Path, num_samples: int) -> Floats:
    """The stream at 24 kHz, its encoder delay cut off, exactly `num_samples` long."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    parts = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            parts += [f.to_ndarray()[0] for f in resampler.resample(frame)]
        parts += [f.to_ndarray()[0] for f in resampler.resample(None)]
    wave_S = np.concatenate(parts)[:num_samples]
    return np.pad(wave_S, (0, num_samples - len(wave_S))).astype(np.float32)


def _read_meta(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(gzip.decompress(path.read_bytes()))
    return rows


class Bank:
    """The utterances of a folder, by split, language and voice; sound is decoded on first use and kept for a while."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()
        self.rows: dict[tuple[str, str, str], list[tuple[str, dict[str, Any]]]] = {}
        for meta in sorted(self.folder.glob("*.json.gz")):
            name = meta.name.removesuffix(".json.gz")
            language, split, _ = name.split("-")
            for row in _read_meta(meta):
                self.rows.setdefault((split, language, row["voice"]), []).append((name, row))
        if not self.rows:
            raise NotFound(f"{self.folder} holds no utterances; make some: muybridge world speech --minutes 30")
        self._stream = lru_cache(maxsize=24)(self._read_stream)

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.rows.values())

    def pick(
        self, rng: np.random.Generator, split: str, language: str, voice: str, longest_s: float
    ) -> Utterance | None:
        """As `Source` says."""
        longest = longest_s * SAMPLE_RATE
        fitting = [item for item in self.rows.get((split, language, voice), ()) if item[1]["samples"] <= longest]
        return self.load(*fitting[int(rng.integers(len(fitting)))]) if fitting else None

    def load(self, name: str, row: dict[str, Any]) -> Utterance:
        """The utterance of a row of shard `name`."""
        wave_S = self._stream(name)[row["start"] : row["start"] + row["samples"]]
        speech = Speech(wave_S, _unpacked(row["phones"]), _unpacked(row["words"]), row["language"], row["voice"])
        return Utterance(speech, row["text"], row["register"], row["rate"])

    def _read_stream(self, name: str) -> Floats:
        rows = [row for rows in self.rows.values() for shard, row in rows if shard == name]
        return _decode(self.folder / f"{name}.ogg", max(row["start"] + row["samples"] for row in rows))


class Live:
    """A source that calls the voices: no bank needed, seconds of work per utterance."""

    def __init__(self, tries: int = 40) -> None:
        self.tries = tries

    def pick(
        self, rng: np.random.Generator, split: str, language: str, voice: str, longest_s: float
    ) -> Utterance | None:
        """As `Source` says; sentences that the pacing tables call too long are not spoken at all."""
        for _ in range(self.tries):
            number = int(rng.integers(1 << 40))
            register = str(rng.choice(tuple(REGISTERS)))
            text = sentence(number, split, language)
            planned = natural_durations(phonemes(text, language), language)
            if planned[-1].end_s / REGISTERS[register].speed > longest_s - 0.2:
                continue
            item = Utterance(speak(text, language, voice, register), text, register, 1.0)
            if item.speech.seconds <= longest_s:
                return item
        return None


class Silence:
    """Nobody has anything to say: pictures alone are wanted."""

    def pick(self, rng: np.random.Generator, split: str, language: str, voice: str, longest_s: float) -> None:
        """None."""


class BankElseLive:
    """The bank where it holds anything of a split and language, else the voices: never silent for want of a bank."""

    def __init__(self, folder: Path | None = None) -> None:
        self.live = Live()
        try:
            self.bank: Bank | None = Bank(folder)
        except NotFound:
            self.bank = None
        self.held = {key[:2] for key in self.bank.rows} if self.bank else set()

    def pick(
        self, rng: np.random.Generator, split: str, language: str, voice: str, longest_s: float
    ) -> Utterance | None:
        """As `Source` says."""
        source = self.bank if self.bank and (split, language) in self.held else self.live
        return source.pick(rng, split, language, voice, longest_s)
