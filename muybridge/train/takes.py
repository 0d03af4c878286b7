"""Takes: clips as they were drawn and spoken, kept small, from which latents are made again whenever a codec is new.

Drawing costs a hundred times what encoding does, so a clip is drawn once. A take is one file,
`take-train-0000012.safetensors`: H.264 of the RGB pictures (almost lossless), FLAC of the sound, PNGs of reference
pictures, coverage of mouth and face per token, and as JSON the scene, the words, the phones and the events. Take
`index` is a pure function of (index, split, size, seconds) and of the speech source; files are written whole or not at
all, so processes may share the work by stride and be killed at any time.

Letters: T frames, Y X rows and columns (of pixels, or of tokens in masks), L latent frames, R references, S samples.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from muybridge.errors import NotFound
from muybridge.media import encode_image, read_image
from muybridge.request import reference_name
from muybridge.shapes import FPS, STRIDE_T, STRIDE_Y
from muybridge.speech.symbols import token_ids
from muybridge.world import edits, render, talking, wording
from muybridge.world.captions import person_word
from muybridge.world.grammar import SPLITS
from muybridge.world.landscapes import OUTDOOR
from muybridge.world.scene import NEAREST_FRAMING, Scene, from_json, to_json
from muybridge.world.utterances import Silence, Source
from muybridge.world.voices import SAMPLE_RATE

Bytes = NDArray[np.uint8]
TOKEN = 2 * STRIDE_Y  # pixels a side of one token: a patch of 2 x 2 latent cells
EDIT_SHARE, REFERENCE_SHARE = 0.2, 0.45  # of clips with one person and nothing else
MAX_REFERENCES = 3
FRAME_SAMPLES = SAMPLE_RATE // FPS
STILL_OFFSET, GIVEN_OFFSET = 1 << 24, 1 << 25  # stills are other scenes than clips
NAMED = 0.75  # share of reference sets
EDITED_STILLS = 0.5  # of stills that are given something
CHANGED = 10  # a pixel differs when one of its colours does by more than this
QUALITY = "14"  # x264 constant rate factor


@dataclass(frozen=True, eq=False)
class Take:
    """One drawn clip. `facts` is plain JSON: caption, prompts, lines, beats, events, attributes, instruction, ...

    frames_TYX3 and source_TYX3 (before an edit) uint8; waveform_S float32 at 24 kHz; references_RYX3 uint8;
    mouth_LYX, face_LYX, edited_LYX: coverage 0..255 of each token. mute_TYX3: the same pictures with a mouth at rest.
    """

    index: int
    split: str
    scene: Scene
    frames_TYX3: Bytes
    waveform_S: NDArray[np.float32]
    mouth_LYX: Bytes
    face_LYX: Bytes
    facts: dict[str, Any]
    references_RYX3: Bytes | None = None
    source_TYX3: Bytes | None = None
    edited_LYX: Bytes | None = None
    mute_TYX3: Bytes | None = None


def shoot(
    index: int,
    split: str = "train",
    height: int = 256,
    width: int = 448,
    seconds: float | None = None,
    source: Source | None = None,
    **fields: Any,  # noqa: ANN401  (each field of Scene has its own type)
) -> Take:
    """Draw take `index`: a talking clip, for some an edit of it or references of its person. Sizes: multiples of 32."""
    rng = np.random.default_rng([0x7A6E, SPLITS.index(split), index])
    planned = talking.plan(index, split, seconds, source, **fields)
    alone = len(planned.scene.people) == 1 and not planned.scene.things
    chance = rng.random()
    if alone and chance < EDIT_SHARE:
        return _edited(planned, index, rng, height, width, split)
    clip = talking.draw(planned, index, split, height, width)
    references = None
    if alone and chance < EDIT_SHARE + REFERENCE_SHARE:
        references = _references(clip.scene, int(rng.integers(1, MAX_REFERENCES + 1)), index, split, height, width)
    return take_of(clip, None, rng, references_RYX3=references, mute_TYX3=_mute(planned, height, width))


def _edited(
    planned: talking.Plan,
    index: int,
    rng: np.random.Generator,
    height: int,
    width: int,
    split: str,
    num_frames: int | None = None,
) -> Take:
    """The take of a plan with one factor of its scene changed, and what it was before."""
    edit = _edit(planned.scene, rng)
    before_TYX3 = render.render(edit.before, height, width, talking.tracks(planned), num_frames).frames_TYX3
    planned = dataclasses.replace(planned, scene=edit.after)
    clip = talking.draw(planned, index, split, height, width, num_frames)
    different = np.abs(before_TYX3.astype(np.int16) - clip.frames_TYX3).max(-1) > CHANGED
    edited = per_token(different.astype(np.uint8) * np.uint8(255))
    mute = None if num_frames else _mute(planned, height, width)
    return take_of(clip, edit, rng, source_TYX3=before_TYX3, edited_LYX=edited, mute_TYX3=mute)


def shoot_still(
    index: int,
    split: str,
    height: int,
    width: int,
    source: Source | None = None,
    given: bool = False,
    silent: bool = False,
    **fields: Any,  # noqa: ANN401  (each field of Scene has its own type)
) -> Take:
    """The first frame of a talking clip with all its sound: looks and speech for a fiftieth of a clip's drawing.

    `given`: other scenes, of one person each; half have what they were before an edit, half other pictures of the
    person. What is given is learned on pairs, and pairs of stills are cheap. `silent`, and whatever is given: nobody
    speaks, and one frame's sound is kept.
    """
    rng = np.random.default_rng([0x7A6F, SPLITS.index(split), index])
    number = (GIVEN_OFFSET if given else STILL_OFFSET) + index
    source = Silence() if silent or given else source
    if not given:
        planned = talking.plan(number, split, None, source, **fields)
        take = take_of(talking.draw(planned, index, split, height, width, 1), None, rng)
        return dataclasses.replace(take, waveform_S=take.waveform_S[:FRAME_SAMPLES]) if silent else take
    planned = talking.plan(number, split, None, source, **fields | {"cast": "person"})
    if rng.random() < EDITED_STILLS:
        take = _edited(planned, index, rng, height, width, split, num_frames=1)
    else:
        references = _references(planned.scene, int(rng.integers(1, MAX_REFERENCES + 1)), number, split, height, width)
        take = take_of(talking.draw(planned, index, split, height, width, 1), None, rng, references_RYX3=references)
    return dataclasses.replace(take, waveform_S=take.waveform_S[:FRAME_SAMPLES])


def take_of(
    clip: talking.TalkingClip,
    edit: edits.Edit | None,
    rng: np.random.Generator,
    **more: Bytes | None,
) -> Take:
    """The take of a clip with masks of mouth and face; `more` are its other pictures.

    Where there are references, most captions name the person by them: one that is described needs no picture.
    """
    facts = _facts(clip, edit, rng)
    if more.get("references_RYX3") is not None and rng.random() < NAMED:
        plan = talking.Plan(clip.scene, clip.lines, ())
        facts["prompt"] = talking.words(plan, clip.split, f"[{reference_name(0)}]")[0]
    return Take(
        index=clip.index,
        split=clip.split,
        scene=clip.scene,
        frames_TYX3=clip.frames_TYX3,
        waveform_S=clip.waveform_CS[0],
        mouth_LYX=per_token(clip.masks["mouth"]),
        face_LYX=per_token(clip.masks["face"]),
        facts=facts,
        **more,
    )


def _edit(scene: Scene, rng: np.random.Generator) -> edits.Edit:
    """One factor of the scene changed, its speech kept."""
    names = [name for name in edits.FACTORS if name != "weather" or scene.place in OUTDOOR]
    factor = str(rng.choice(names))
    first = scene.people[0]
    if factor in ("hair colour", "hair style") and first.look.hat != "none":
        bare = dataclasses.replace(first, look=dataclasses.replace(first.look, hat="none"))
        scene = scene.replace(people=(bare,))
    after, instruction, masks = edits.FACTORS[factor](scene, rng, scene.people[0].look)
    return edits.Edit(factor, scene, after, instruction, masks)


def _mute(planned: talking.Plan, height: int, width: int) -> Bytes | None:
    """The clip again with its mouth at rest, where lips are large: their motion is what the two differ in."""
    if not planned.lines or planned.scene.framing != NEAREST_FRAMING:
        return None
    drawn = render.frames(planned.scene, height, width, False, talking.tracks(planned), is_mute=True)
    return np.stack([frame.pixels_YX3 for frame in drawn])


def _references(scene: Scene, count: int, index: int, split: str, height: int, width: int) -> Bytes:
    stills = edits.references(scene.people[0], count, index, split)
    return np.stack([next(render.frames(still, height, width, masks=False)).pixels_YX3 for still in stills])


def _facts(clip: talking.TalkingClip, edit: edits.Edit | None, rng: np.random.Generator) -> dict[str, Any]:
    """Everything about a clip that is words and times."""
    spoken = sorted({line.language for line in clip.lines} - {"en"}) or ["en"]
    tongue = spoken[0] if rng.random() < 0.5 else str(rng.choice(sorted(clip.prompts)))
    prompt = clip.caption if rng.random() < 0.8 else clip.prompts[tongue]
    lines = []
    for line in clip.lines:
        phones = list(line.phones)
        while phones and phones[-1].is_pause:
            phones.pop()  # as in a plan: what follows the line is a gap
        lines.append(
            {
                "person": line.person, "text": line.text, "language": line.language, "register": line.register,
                "voice": line.voice, "start_s": line.spoken_s[0], "end_s": line.spoken_s[1],
                "ids": [token_ids(p.symbol) for p in phones],
                "middles_s": [round((p.start_s + p.end_s) / 2, 4) for p in phones],
            }
        )  # fmt: skip
    return {
        "prompt": prompt,
        "caption": clip.caption,
        "prompts": clip.prompts,
        "beats": _beats(clip.scene, rng),
        "lines": lines,
        "events": [[e.time_s, e.kind, e.strength] for e in clip.events],
        "attributes": clip.attributes,
        "identities": clip.identities_PV.astype(float).round(4).tolist(),
        "instruction": None if edit is None else edit.instruction,
        "factor": None if edit is None else edit.factor,
    }


def _beats(scene: Scene, rng: np.random.Generator) -> list[list[Any]]:
    """[text, start, end] of the scene's gestures and moods, for a share of clips; captions may time others."""
    if rng.random() < 0.5:
        return []
    out = []
    for human in scene.people:
        for span in (*human.gestures, *human.expressions):
            start, end = max(0.0, span.start_s), min(span.end_s, scene.seconds)
            if end - start > 0.9 * scene.seconds:
                continue
            options = wording.EXPRESSIONS.get(span.what) or wording.GESTURES[span.what]
            act = options[int(rng.integers(len(options)))].format(poss="his" if person_word(human) == "man" else "her")
            out.append([f"the {person_word(human)} {act}", round(start, 2), round(end, 2)])
    return sorted(out, key=lambda beat: float(beat[1]))


def per_token(mask_TYX: Bytes) -> Bytes:
    """Mean coverage 0..255 of each token [L, Y, X] under a mask of 4k+1 frames: the first frame, then fours."""
    num_frames, height, width = mask_TYX.shape
    cells = mask_TYX.reshape(num_frames, height // TOKEN, TOKEN, width // TOKEN, TOKEN).mean((2, 4))
    later = cells[1:].reshape(-1, STRIDE_T, *cells.shape[1:]).mean(1)
    return np.concatenate([cells[:1], later]).round().astype(np.uint8)


def path_of(folder: Path, index: int, split: str) -> Path:
    """The file of a take."""
    return folder / f"take-{split}-{index:07d}.safetensors"


def build(
    folder: Path,
    count: int,
    split: str = "train",
    sizes: Sequence[tuple[int, int]] = ((256, 448),),
    seconds: float | None = None,
    stride: int = 1,
    first: int = 0,
    quiet: bool = False,
    stills: bool = False,
    given: bool = False,
    silent: bool = False,
    **fields: Any,  # noqa: ANN401  (each field of Scene has its own type)
) -> int:
    """Draw takes (or stills) 0..count-1 that are not there yet, of `sizes` (height, width) in turn; how many it made.

    `stride` processes that pass `first` 0..stride-1 share the work. `given` and `silent` are those of `shoot_still`.
    `fields` hold for all clips, see `shoot`.
    """
    from rich.progress import Progress

    os.environ.setdefault("LP_NUM_THREADS", "0")  # see train/frames.py
    folder.mkdir(parents=True, exist_ok=True)
    source = talking.default_source()
    wanted = [index for index in range(first, count, stride) if not path_of(folder, index, split).is_file()]
    with Progress(disable=quiet) as bar:
        for index in bar.track(wanted, description="drawing takes"):
            size = sizes[index % len(sizes)]
            if stills:
                take = shoot_still(index, split, *size, source, given, silent, **fields)
            else:
                take = shoot(index, split, *size, seconds, source, **fields)
            write(folder, take)
    return len(wanted)


def write(folder: Path, take: Take) -> Path:
    """Save a take whole."""
    from safetensors.numpy import save

    tensors = {
        "frames": _h264(take.frames_TYX3), "sound": _flac(take.waveform_S), "mouth": take.mouth_LYX,
        "face": take.face_LYX,
    }  # fmt: skip
    if take.references_RYX3 is not None:
        for k, still in enumerate(take.references_RYX3):
            tensors[f"reference {k}"] = np.frombuffer(encode_image(still, "png"), np.uint8)
    if take.source_TYX3 is not None and take.edited_LYX is not None:
        tensors |= {"source": _h264(take.source_TYX3), "edited": take.edited_LYX}
    if take.mute_TYX3 is not None:
        tensors["mute"] = _h264(take.mute_TYX3)
    about = {"index": take.index, "split": take.split, "scene": to_json(take.scene), "facts": take.facts}
    data = save(tensors, {"take": json.dumps(about, ensure_ascii=False)})
    path = path_of(folder, take.index, take.split)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return path


def load(path: Path) -> Take:
    """Read a take. Raises NotFound for a missing file."""
    from safetensors import safe_open

    if not path.is_file():
        raise NotFound(f"There is no take {path}; draw it: muybridge world takes -o {path.parent}")
    with safe_open(path, "np") as file:
        about = json.loads(file.metadata()["take"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    stills = [read_image(tensors[name].tobytes()) for name in sorted(tensors) if name.startswith("reference")]
    return Take(
        index=about["index"],
        split=about["split"],
        scene=from_json(about["scene"]),
        frames_TYX3=_pictures(tensors["frames"]),
        waveform_S=_sound(tensors["sound"]),
        mouth_LYX=tensors["mouth"],
        face_LYX=tensors["face"],
        facts=about["facts"],
        references_RYX3=np.stack(stills) if stills else None,
        source_TYX3=_pictures(tensors["source"]) if "source" in tensors else None,
        edited_LYX=tensors.get("edited"),
        mute_TYX3=_pictures(tensors["mute"]) if "mute" in tensors else None,
    )


def stored(folder: Path, split: str) -> Iterator[Path]:
    """The files of a folder's takes of a split, by index."""
    yield from sorted(folder.glob(f"take-{split}-*.safetensors"))


def _h264(frames_TYX3: Bytes) -> Bytes:
    """RGB H.264 (no chroma is lost) in Matroska."""
    out = io.BytesIO()
    options = {"crf": QUALITY, "preset": "veryfast", "threads": "1"}
    with av.open(out, "w", format="matroska") as container:
        stream = container.add_stream("libx264rgb", rate=FPS, options=options)
        stream.height, stream.width = frames_TYX3.shape[1:3]
        stream.pix_fmt = "rgb24"
        for pixels in frames_TYX3:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return np.frombuffer(out.getvalue(), np.uint8)


def _pictures(data: Bytes) -> Bytes:
    with av.open(io.BytesIO(data.tobytes()), "r") as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(frames).astype(np.uint8, copy=False)


def _flac(waveform_S: NDArray[np.float32]) -> Bytes:
    """16 bit FLAC; a talking clip's peak is below 1 by construction."""
    out = io.BytesIO()
    with av.open(out, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        pcm = (np.clip(waveform_S, -1, 1) * 32767).round().astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return np.frombuffer(out.getvalue(), np.uint8)


def _sound(data: Bytes) -> NDArray[np.float32]:
    with av.open(io.BytesIO(data.tobytes()), "r") as container:
        parts = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(parts).astype(np.float32) / np.float32(32767)
