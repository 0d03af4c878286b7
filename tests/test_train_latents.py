"""Takes and the latents cache: what is written is what is read, in an order that the step alone decides."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from muybridge.errors import InvalidRequest, NotFound, UserError
from muybridge.model.fixed_codec import FixedAudioCodec, FixedVideoCodec
from muybridge.model.phrase_encoder import take_apart
from muybridge.model.tokens import patchify
from muybridge.train import latents, takes
from muybridge.train.takes import Take
from muybridge.world import talking
from muybridge.world.grammar import sample_scene
from muybridge.world.scene import NEAREST_FRAMING
from tests.test_world_data import Hum

SIDE, FRAMES = 64, 13


def painted(index: int, **more: Any) -> Take:
    """A take of smooth moving colours that needs no renderer."""
    t, y, x = np.meshgrid(np.arange(FRAMES), np.arange(SIDE), np.arange(SIDE), indexing="ij")
    waves = [128 + 80 * np.sin((x + 2 * t) / 9 + index), 128 + 80 * np.cos(y / 7), 100 + 0 * x]
    lines = [{"ids": [[156, 43], [55]], "middles_s": [0.21, 0.3], "language": "de", "register": "calm", "text": "am"}]
    facts = {
        "prompt": "0-0.3 s: a man smiles. He says: \"am\"", "lines": lines, "beats": [["a man waves", 0.1, 0.4]],
        "events": [[0.2, "bell", 1.0]], "attributes": {"count": 1}, "instruction": None, **more.pop("facts", {}),
    }  # fmt: skip
    cover = np.zeros((4, 2, 2), np.uint8)
    cover[2, 1, 0] = 51
    tone_S = 0.3 * np.sin(2 * np.pi * 200 * np.arange(FRAMES * 960) / 24000)
    return Take(
        index, "train", sample_scene(index, "train", 0.5, cast="person"), np.stack(waves, -1).astype(np.uint8),
        tone_S.astype(np.float32), cover, cover, facts, **more,
    )  # fmt: skip


def test_takes_survive_their_files(tmp_path: Path) -> None:
    still = painted(5).frames_TYX3[:2]
    take = painted(
        3, references_RYX3=still, source_TYX3=painted(4).frames_TYX3, edited_LYX=np.full((4, 2, 2), 9, np.uint8),
        mute_TYX3=painted(6).frames_TYX3, facts={"instruction": "Make the hair red."},
    )  # fmt: skip
    again = takes.load(takes.write(tmp_path, take))
    error = (again.frames_TYX3.astype(float) - take.frames_TYX3) ** 2
    assert 10 * np.log10(255**2 / error.mean()) > 38
    assert np.abs(again.waveform_S - take.waveform_S).max() < 1 / 32000
    assert again.scene == take.scene
    assert again.facts == take.facts
    assert again.references_RYX3 is not None
    assert np.array_equal(again.references_RYX3, still)
    assert again.source_TYX3 is not None
    assert again.source_TYX3.shape == take.frames_TYX3.shape
    assert again.mute_TYX3 is not None
    assert again.mute_TYX3.shape == take.frames_TYX3.shape
    assert np.array_equal(again.mouth_LYX, take.mouth_LYX)
    with pytest.raises(NotFound, match="muybridge world takes"):
        takes.load(tmp_path / "take-train-0000099.safetensors")


def test_token_coverage_is_the_mean_over_its_pixels_and_frames() -> None:
    mask_TYX = np.zeros((9, 64, 96), np.uint8)
    mask_TYX[0, :32, :16] = 255  # half of token (0, 0) in the first frame
    mask_TYX[5:7, 32:, 64:] = 200  # token (1, 2) in two frames of the third latent
    cover = takes.per_token(mask_TYX)
    assert cover.shape == (3, 2, 3)
    assert cover[0, 0, 0] == 128
    assert cover[2, 1, 2] == 100
    assert int(cover.astype(int).sum()) == 228


def test_items_hold_what_the_codecs_say() -> None:
    take = painted(1)
    item = latents.encode_clip(take, FixedVideoCodec(), FixedAudioCodec())
    frames = torch.from_numpy(take.frames_TYX3).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    assert torch.equal(item.video, FixedVideoCodec().encode(frames)[0])
    assert item.video.shape == (48, 4, 4, 4)
    assert item.audio.shape == (FRAMES, 64)
    assert float(item.mouth_TYX[2, 1, 0]) == pytest.approx(0.2)
    assert torch.equal(item.caption.words_N, take_apart(take.facts["prompt"]).words_N)
    (beat,) = item.beats  # the prompt's own times win over the scene's
    assert (beat.start_s, beat.end_s) == (0.0, 0.3)
    (line,) = item.lines
    assert (line.ids, line.middles_s, line.language, line.register) == (((156, 43), (55,)), (0.21, 0.3), "de", "calm")


def built(tmp_path: Path, count: int = 9) -> latents.LatentCache:
    for index in range(count):
        more: dict[str, Any] = {}
        if index == 2:
            more["references_RYX3"] = painted(7).frames_TYX3[:3]
        if index == 3:
            more |= {"source_TYX3": painted(8).frames_TYX3, "edited_LYX": np.full((4, 2, 2), 255, np.uint8)}
            more["facts"] = {"instruction": "Add glasses."}
        takes.write(tmp_path / "takes", painted(index, **more))
    codecs = FixedVideoCodec(), FixedAudioCodec()
    assert latents.build(tmp_path / "takes", tmp_path / "latents", *codecs, quiet=True) > 0
    return latents.read(tmp_path / "latents")


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(latents, "SHARD", 4)
    (tmp_path / "takes").mkdir()


def test_cache_returns_the_items_in_half_precision(tmp_path: Path) -> None:
    cache = built(tmp_path)
    assert len(cache) == 9
    assert len(list((tmp_path / "latents").iterdir())) == 3
    for number in (0, 2, 3, 8):
        path = takes.path_of(tmp_path / "takes", number, "train")
        wanted = latents.encode_clip(takes.load(path), FixedVideoCodec(), FixedAudioCodec())
        item = cache.item(number)
        for name in ("video", "audio", "mouth_TYX", "references", "source", "edited_TYX"):
            a, b = getattr(item, name), getattr(wanted, name)
            assert (a is None) == (b is None), name
            if a is not None:
                assert a.dtype == torch.float32
                torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(item.caption.phrases_NC, wanted.caption.phrases_NC, rtol=0, atol=1e-3)
        assert torch.equal(item.caption.words_N, wanted.caption.words_N)
        assert [vars(line) for line in item.lines] == [vars(line) for line in wanted.lines]
        assert [(b.start_s, b.end_s) for b in item.beats] == [(b.start_s, b.end_s) for b in wanted.beats]
    edit = cache.item(3)
    assert edit.instruction is not None
    assert torch.equal(edit.instruction.words_N, take_apart("Add glasses.").words_N)
    assert cache.facts(0)["events"] == [[0.2, "bell", 1.0]]


def test_every_pass_shows_every_item_once_in_a_new_order(tmp_path: Path) -> None:
    cache = built(tmp_path)
    passes = [[i.index for step in range(3 * k, 3 * k + 3) for i in cache.batch(step, 3)] for k in range(3)]
    assert [sorted(one) for one in passes] == [list(range(9))] * 3
    assert len({tuple(one) for one in passes}) == 3
    later = latents.read(tmp_path / "latents")  # a process that starts at step 5 sees the same
    assert [i.index for i in later.batch(5, 3)] == passes[1][6:]
    assert [i.index for i in cache.batch(0, 9, seed=1)] != [i.index for i in cache.batch(0, 9)]


def test_a_part_of_a_cache_holds_just_its_items(tmp_path: Path) -> None:
    part = built(tmp_path).only([1, 6])
    assert sorted(i.index for i in part.batch(0, 2)) == [1, 6]
    assert part.facts(1)["prompt"]
    with pytest.raises(UserError, match="lower limit"):
        part.only([])


def test_building_goes_on_and_grows(tmp_path: Path) -> None:
    built(tmp_path, 6)
    times = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "latents").iterdir()}
    codecs = FixedVideoCodec(), FixedAudioCodec()
    assert latents.build(tmp_path / "takes", tmp_path / "latents", *codecs, quiet=True) == 0
    takes.write(tmp_path / "takes", painted(6))
    assert latents.build(tmp_path / "takes", tmp_path / "latents", *codecs, quiet=True) == 1  # only the short one
    assert len(latents.read(tmp_path / "latents")) == 7
    first = "latents-train-00000.safetensors"
    assert (tmp_path / "latents" / first).stat().st_mtime_ns == times[first]


def test_two_processes_share_by_stride(tmp_path: Path) -> None:
    for index in range(9):
        takes.write(tmp_path / "takes", painted(index))
    made = [
        latents.build(
            tmp_path / "takes", tmp_path / "latents", FixedVideoCodec(), FixedAudioCodec(), "train", 2, k, quiet=True
        )
        for k in (0, 1)
    ]
    assert made == [2, 1]
    assert sorted(i.index for i in latents.read(tmp_path / "latents").batch(0, 9)) == list(range(9))


def test_wrong_folders_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="muybridge world takes"):
        latents.build(tmp_path / "takes", tmp_path / "latents", FixedVideoCodec(), FixedAudioCodec())
    with pytest.raises(NotFound, match="muybridge world latents"):
        latents.read(tmp_path / "takes")
    takes.write(tmp_path / "takes", painted(0)).rename(tmp_path / "takes" / "latents-train-00000.safetensors")
    with pytest.raises(UserError, match="not a shard"):
        latents.read(tmp_path / "takes")


def test_a_killed_build_leaves_whole_shards_only(tmp_path: Path) -> None:
    for index in range(24):
        takes.write(tmp_path / "takes", painted(index))
    code = (
        "from pathlib import Path; from muybridge.train import latents; latents.SHARD = 2\n"
        "from muybridge.model.fixed_codec import FixedAudioCodec, FixedVideoCodec\n"
        f"root = Path({str(tmp_path)!r})\n"
        "latents.build(root / 'takes', root / 'latents', FixedVideoCodec(), FixedAudioCodec(), quiet=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while not list((tmp_path / "latents").glob("latents-*")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    held = len(latents.read(tmp_path / "latents"))
    assert held % 2 == 0
    assert held > 0
    latents.SHARD = 2
    codecs = FixedVideoCodec(), FixedAudioCodec()
    assert latents.build(tmp_path / "takes", tmp_path / "latents", *codecs, quiet=True) == (24 - held) // 2
    assert [latents.read(tmp_path / "latents").item(k).index for k in range(24)] == list(range(24))


def test_drawn_takes_have_edits_and_references() -> None:
    seen: set[str] = set()
    for index in range(40):
        rng = np.random.default_rng([0x7A6E, 0, index])  # the draw that decides what a take carries
        chance = rng.random()
        kind = (
            "edit" if chance < takes.EDIT_SHARE else "r2v" if chance < takes.EDIT_SHARE + takes.REFERENCE_SHARE else ""
        )
        if not kind or kind in seen:
            continue
        seen.add(kind)
        take = takes.shoot(index, "train", 64, 64, 0.7, Hum(), cast="person")
        assert take.frames_TYX3.shape == (17, 64, 64, 3)
        assert len(take.waveform_S) == 17 * 960
        if kind == "edit":
            assert take.facts["instruction"]
            assert take.source_TYX3 is not None
            assert take.edited_LYX is not None
            different = np.abs(take.source_TYX3.astype(int) - take.frames_TYX3).max(-1) > takes.CHANGED
            wanted = takes.per_token(different.astype(np.uint8) * np.uint8(255))
            assert np.array_equal(take.edited_LYX, wanted)
            assert take.edited_LYX.max() > 0
        else:
            assert take.references_RYX3 is not None
            assert 1 <= len(take.references_RYX3) <= takes.MAX_REFERENCES
            assert (take.references_RYX3[0] != take.frames_TYX3[0]).mean() > 0.3
        if len(seen) == 2:
            break
    assert seen == {"edit", "r2v"}


def test_stills_that_are_given_something_are_pairs_and_are_drawn_once(tmp_path: Path) -> None:
    folder = tmp_path / "stills"
    assert takes.build(folder, 6, sizes=((64, 64),), quiet=True, stills=True, given=True) == 6
    found = [takes.load(path) for path in takes.stored(folder, "train")]
    assert [take.index for take in found] == list(range(6))
    named = 0
    for take in found:
        assert take.frames_TYX3.shape == (1, 64, 64, 3)
        assert len(take.waveform_S) == 960  # one frame of 25 a second
        assert (take.references_RYX3 is None) != (take.source_TYX3 is None)
        if take.source_TYX3 is not None and take.edited_LYX is not None:
            assert take.facts["instruction"]
            assert take.source_TYX3.shape == take.frames_TYX3.shape
            assert 0 < take.edited_LYX.mean() < 255
        elif "[Image 1]" in take.facts["prompt"]:
            named += 1
            look = take.scene.people[0].look
            said = set(re.findall(r"[a-z]+", take.facts["prompt"]))
            assert not {look.garment, look.hair_color, look.hair_style} & said
    assert len({take.source_TYX3 is None for take in found}) == 2
    assert named
    assert takes.build(folder, 6, sizes=((64, 64),), quiet=True, stills=True, given=True) == 0


def test_stills_may_all_show_the_same(tmp_path: Path) -> None:
    from muybridge.cli import build

    asked = ["world", "stills", "--silent", "--size", "64x32", "--json"]
    build()([*asked, "--count", "3", "--only", "pair", "-o", str(tmp_path / "pair")], standalone_mode=False)
    build()([*asked, "--count", "2", "--only", "bell", "-o", str(tmp_path / "bell")], standalone_mode=False)
    scenes = {
        name: [takes.load(path).scene for path in takes.stored(tmp_path / name, "train")] for name in ("pair", "bell")
    }
    assert [len(scene.people) for scene in scenes["pair"]] == [2, 2, 2]
    assert [[thing.kind for thing in scene.things] for scene in scenes["bell"]] == [["bell"], ["bell"]]
    assert not any(scene.people for scene in scenes["bell"])
    with pytest.raises(InvalidRequest, match="nothing 'crowd' to show"):
        build()([*asked, "--only", "crowd", "-o", str(tmp_path / "crowd")], standalone_mode=False)


def test_silent_stills_need_no_voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def speak(*_: object) -> None:
        raise AssertionError("a voice was asked for")

    monkeypatch.setattr(takes.talking, "default_source", lambda: type("Loud", (), {"pick": staticmethod(speak)})())
    folder = tmp_path / "stills"
    assert takes.build(folder, 5, sizes=((64, 96), (96, 64)), quiet=True, stills=True, silent=True) == 5
    found = [takes.load(path) for path in takes.stored(folder, "train")]
    assert any(take.scene.people for take in found)
    for take in found:
        assert take.frames_TYX3.shape == (1, *((96, 64) if take.index % 2 else (64, 96)), 3)
        assert len(take.waveform_S) == 960 and not take.facts["lines"]


def test_lip_directions_of_one_motion_are_that_motion() -> None:
    generator = torch.Generator().manual_seed(3)
    way_CYX, strength_T = torch.randn(6, 4, 6, generator=generator), torch.randn(9, generator=generator)
    lips_KCYX = latents.lip_directions(way_CYX[:, None] * strength_T[:, None, None])
    assert lips_KCYX.shape == (2, 6, 4, 6)
    way_ND, found_ND = patchify(way_CYX[:, None]), patchify(lips_KCYX[:1].transpose(0, 1))
    rms = strength_T.square().mean().sqrt()
    assert torch.allclose(found_ND.norm(dim=1), way_ND.norm(dim=1) * rms, rtol=1e-4)
    assert torch.allclose(torch.cosine_similarity(found_ND, way_ND).abs(), torch.ones(6), atol=1e-5)
    assert float(lips_KCYX[1].abs().max()) < 1e-5


def test_a_mute_twin_differs_at_the_mouth_alone() -> None:
    fields = {"cast": "person", "framing": NEAREST_FRAMING, "weather": "clear", "language": "en"}
    spoken = next(k for k in range(9) if talking.plan(k, "train", 1.5, Hum(), **fields).lines)
    take = takes.shoot(spoken, "train", 128, 128, 1.5, Hum(), **fields)
    assert take.mute_TYX3 is not None
    moved_TYX = np.abs(take.frames_TYX3.astype(int) - take.mute_TYX3).max(-1)
    changed_Y = (moved_TYX > takes.CHANGED).sum((0, 2))
    assert changed_Y[64:].sum() > 500
    assert changed_Y[:48].sum() < 0.05 * changed_Y[48:].sum()  # lips and jaw lie below the middle of the face
    item = latents.encode_clip(take, FixedVideoCodec(), FixedAudioCodec())
    assert item.lips_KCYX is not None
    assert item.lips_KCYX.shape == (2, *item.video.shape[:1], *item.video.shape[2:])
    assert takes.shoot(spoken, "train", 64, 64, 1.5, Hum(), **{**fields, "framing": "close-up"}).mute_TYX3 is None
