"""Weight folders: the download against a stand-in hub, checksums, conversion, and the `weights` verbs."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import huggingface_hub
import pytest
import torch
import typer
from safetensors.torch import save_file
from typer.testing import CliRunner

from muybridge import config as sizes
from muybridge.cli import weights as verbs
from muybridge.config import TINY
from muybridge.errors import DoesNotFit, NotFound, Unavailable, UserError, WeightsInvalid
from muybridge.model import weights_folder
from muybridge.model.weights import load_transformer, model_specs
from muybridge.model.weights_file import Checkpoint
from muybridge.model.weights_folder import (
    MANIFEST,
    choose_parts,
    convert,
    pull,
    read_manifest,
    sha256_of,
    verify,
    write_manifest,
)

SMALL = replace(
    TINY,
    name="15b-small",
    num_layers=2,
    hidden_size=64,
    num_heads_kv=1,
    mm_layers=(0,),
    text_in_channels=8,
    num_roles=0,
)


@pytest.fixture
def small_size(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(sizes.SIZES, SMALL.name, SMALL)
    return SMALL.name


class Hub:
    """A stand-in for the hub: repositories as dicts, files sent as they are, failures on request."""

    def __init__(self, files: dict[str, dict[str, bytes]]) -> None:
        self.files, self.failure, self.sent = files, None, list[str]()
        self.damage = False

    def model_info(self, repo: str, files_metadata: bool) -> Any:
        assert files_metadata
        if isinstance(self.failure, Exception):
            raise self.failure
        siblings = []
        for name, data in self.files.get(repo, {}).items():
            # As on the hub: large files carry a checksum, small text files do not.
            lfs = SimpleNamespace(sha256=hashlib.sha256(data).hexdigest()) if name.endswith("s") else None
            siblings.append(SimpleNamespace(rfilename=name, size=len(data), lfs=lfs))
        return SimpleNamespace(siblings=siblings)

    def snapshot_download(self, repo: str, *, allow_patterns: list[str], local_dir: Path) -> None:
        for name, data in self.files[repo].items():
            if any(Path(name).match(p) for p in allow_patterns):
                file = local_dir / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data[::-1] if self.damage else data)
                self.sent.append(name)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    stand_in = Hub(
        {
            "GAIR/daVinci-MagiHuman": {
                "base/model.safetensors": b"base weights",
                "base/config.json": b"{}",
                "distill/model.safetensors": b"distilled weights",
                "README.md": b"not asked for",
            }
        }
    )
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: stand_in)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", stand_in.snapshot_download)
    return stand_in


def test_pull_fetches_only_the_named_part_and_records_checksums(hub: Hub, tmp_path: Path) -> None:
    announced = []
    folder = pull("15b", tmp_path / "15b", ["base"], on_part=lambda *seen: announced.append(seen))
    assert announced == [("base", len(b"base weights") + 2)]
    assert sorted(hub.sent) == ["base/config.json", "base/model.safetensors"]
    assert read_manifest(folder) == {"base/model.safetensors": hashlib.sha256(b"base weights").hexdigest()}
    pull("15b", folder, ["distill"])
    assert set(read_manifest(folder)) == {"base/model.safetensors", "distill/model.safetensors"}
    assert verify(folder) == 2


def test_pull_refuses_a_file_that_arrived_damaged(hub: Hub, tmp_path: Path) -> None:
    hub.damage = True
    with pytest.raises(WeightsInvalid, match=r"1 damaged files \(base/model\.safetensors\)"):
        pull("15b", tmp_path, ["base"])
    assert not (tmp_path / MANIFEST).exists()


def test_pull_checks_names_and_disk_before_the_first_byte(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="no part huge; choose from base, distill"):
        pull("15b", tmp_path, ["base", "huge"])
    with pytest.raises(UserError, match="inside the package"):
        pull("tiny", tmp_path)
    with pytest.raises(Unavailable, match="has no files for 540p_sr"):
        pull("15b", tmp_path, ["540p_sr"])
    monkeypatch.setattr(weights_folder.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    with pytest.raises(DoesNotFit, match=r"1\.0 GB free"):
        pull("15b", tmp_path / "not" / "yet" / "there", ["base"])
    assert hub.sent == []


def test_pull_offline_or_gated_says_what_to_do(hub: Hub, tmp_path: Path) -> None:
    hub.failure = huggingface_hub.errors.OfflineModeIsEnabled("offline")
    with pytest.raises(Unavailable, match="check the network") as offline:
        pull("15b", tmp_path, ["base"])
    assert offline.value.retryable
    hub.failure = httpx.ConnectError("no route")
    with pytest.raises(Unavailable, match="run the same command again"):
        pull("15b", tmp_path)
    request = httpx.Request("GET", "https://hub.test")
    response = httpx.Response(403, request=request)
    hub.failure = huggingface_hub.errors.GatedRepoError("gated", response=response)
    with pytest.raises(Unavailable, match=r"gated \(Stability AI Community License\).*hf auth login"):
        pull("15b", tmp_path, ["audio_codec"])


def test_every_part_states_its_licence() -> None:
    parts = choose_parts("15b")
    assert [p.name for p in parts][:5] == ["base", "distill", "540p_sr", "1080p_sr", "turbo_vae"]
    assert {p.name for p in parts if p.gated} == {"audio_codec", "text_encoder"}
    assert all(p.licence for p in parts)


# --- checksums -----------------------------------------------------------------------------------------------------


def test_manifest_is_what_sha256sum_reads(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "weights.bin").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "empty").touch()
    (tmp_path / ".hidden").write_text("cache")
    seen: list[tuple[int, int]] = []
    write_manifest(tmp_path, lambda *p: seen.append(p))
    assert seen[-1] == (25_600, 25_600)
    assert set(read_manifest(tmp_path)) == {"a b/weights.bin", "empty"}
    check = subprocess.run(["sha256sum", "-c", MANIFEST], cwd=tmp_path, capture_output=True, check=False)
    assert check.returncode == 0
    assert sha256_of(tmp_path / "empty") == hashlib.sha256(b"").hexdigest()


def test_verify_finds_every_kind_of_damage(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="--write"):
        verify(tmp_path)
    for i in range(12):
        (tmp_path / f"f{i:02}").write_bytes(bytes([i]) * 10)
    write_manifest(tmp_path)
    assert verify(tmp_path) == 12
    (tmp_path / "f03").write_bytes(b"\1" + bytes([3]) * 9)  # one byte, same length
    with pytest.raises(WeightsInvalid, match=r"1 damaged files \(f03\)"):
        verify(tmp_path)
    for i in range(10):
        (tmp_path / f"f{i:02}").unlink()
    with pytest.raises(WeightsInvalid, match=r"10 missing files \(f00, f01, .*f07\)"):
        verify(tmp_path)
    for line in ("short  name", f"{'0' * 64}  ../escape", f"{'0' * 64}  /etc/passwd"):
        (tmp_path / MANIFEST).write_text(line + "\n")
        with pytest.raises(WeightsInvalid, match="broken line"):
            verify(tmp_path)


# --- conversion ----------------------------------------------------------------------------------------------------


def upstream(folder: Path) -> dict[str, torch.Tensor]:
    """A float32 upstream checkpoint in two shards with an index and no metadata, as `distill` is published."""
    folder.mkdir()
    state = {n: torch.randn(s.shape) for n, s in model_specs(SMALL).items()}
    names = list(state)
    halves = {"model-00001-of-00002.safetensors": names[:7], "model-00002-of-00002.safetensors": names[7:]}
    for file, keys in halves.items():
        save_file({k: state[k] for k in keys}, folder / file)
    weight_map = {k: file for file, keys in halves.items() for k in keys}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return state


def test_convert_upstream_to_ours_and_back(small_size: str, tmp_path: Path) -> None:
    state = upstream(tmp_path / "up")
    seen: list[tuple[int, int]] = []
    files = convert(
        tmp_path / "up", tmp_path / "ours", small_size, shard_bytes=100_000, on_bytes=lambda *p: seen.append(p)
    )
    assert len(files) > 2
    assert seen[-1][0] == seen[-1][1]
    assert verify(tmp_path / "ours") == len(files)
    model = load_transformer(tmp_path / "ours")  # self-describing now
    for name, spec in model_specs(SMALL).items():
        assert torch.equal(model.state_dict()[name], state[name].to(spec.dtype))
    again = convert(tmp_path / "ours", tmp_path / "ours2", small_size, shard_bytes=10**9)
    assert [f.name for f in again] == ["model.safetensors"]
    with Checkpoint.open(tmp_path / "ours2") as checkpoint:
        assert {n: checkpoint.specs[n] for n in state} == model_specs(SMALL)
    kept = convert(tmp_path / "up", tmp_path / "f32", small_size, matrix_dtype=torch.float32, shard_bytes=10**9)
    with Checkpoint.open(kept[0]) as checkpoint:
        assert all(torch.equal(checkpoint.read(n), state[n]) for n in state)


def test_converting_twice_into_one_folder_leaves_a_true_manifest(small_size: str, tmp_path: Path) -> None:
    upstream(tmp_path / "up")
    for shard_bytes in (100_000, 10**9, 100_000):
        files = convert(tmp_path / "up", tmp_path / "ours", small_size, shard_bytes=shard_bytes)
        assert verify(tmp_path / "ours") == len(files)
        assert set(read_manifest(tmp_path / "ours")) == {f.name for f in files}


def test_convert_refuses_the_wrong_size_and_its_own_folder(small_size: str, tmp_path: Path) -> None:
    upstream(tmp_path / "up")
    with pytest.raises(UserError, match="another folder"):
        convert(tmp_path / "up", tmp_path / "up" / ".." / "up", small_size, shard_bytes=10**9)
    with pytest.raises(WeightsInvalid, match="missing tensors"):
        convert(tmp_path / "up", tmp_path / "ours", "tiny", shard_bytes=10**9)
    assert not (tmp_path / "ours").exists()


# --- the verbs -----------------------------------------------------------------------------------------------------


def run(*args: str | Path) -> Any:
    app = typer.Typer()

    @app.callback()
    def root() -> None:
        """So that one group is still a group."""

    verbs.register(app)
    return CliRunner().invoke(app, ["weights", *map(str, args)])


def test_info_verb_prints_the_stable_json() -> None:
    shown = run("info", "15b", "--json")
    assert shown.exit_code == 0
    found = json.loads(shown.stdout)
    assert list(found) == ["parameters", "tensors", "bytes", "state_dict"]
    assert found["parameters"] == 15_299_419_152
    assert "15,299,419,152 parameters in 331 tensors, 30.64 GB" in run("info", "15b").stdout


@pytest.mark.usefixtures("hub")
def test_pull_verify_and_convert_verbs(small_size: str, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    shown = run("pull", "15b", "--part", "base", "--to", folder, "--json")
    assert json.loads(shown.stdout)["folder"] == str(folder)
    assert "fetching base" in shown.stderr
    assert json.loads(run("verify", folder, "--json").stdout) == {"folder": str(folder), "files": 1, "ok": True}
    (folder / "base" / "model.safetensors").write_bytes(b"x")
    assert isinstance(run("verify", folder).exception, WeightsInvalid)
    assert "2 files" in run("verify", folder, "--write").stdout
    upstream(tmp_path / "up")
    shown = run("convert", tmp_path / "up", tmp_path / "ours", "--size", small_size, "--json")
    assert json.loads(shown.stdout)["files"] == [str(tmp_path / "ours" / "model.safetensors")]
    assert isinstance(run("info", "7b").exception, UserError)


def test_every_option_has_a_help_text() -> None:
    for verb in ("pull", "info", "convert", "verify"):
        lines = run(verb, "--help").stdout
        assert "--json" in lines
        assert len([line for line in lines.splitlines() if " --" in line]) <= 9
