"""Provenance: what is signed verifies, a changed byte is told, a provider's own manifest is kept as the parent."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509

from muybridge.errors import MediaInvalid, Unavailable, UserError
from muybridge.media import probe, read_clip, read_movie, write_image
from muybridge.providers.simulator import small_clip
from muybridge.trust.identity import Identity, open_identity
from muybridge.trust.provenance import Signer, Statement, carries_manifest
from muybridge.trust.rules import Rules, read_rules
from muybridge.trust.verify import Report, read_in_child, verify

SAID = Statement("01JOB", "happyhorse-1.1", "fal", "alibaba/happy-horse/v1.1/text-to-video")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data") / "provenance"
    open_identity(Rules(), made)
    return made


@pytest.fixture
def signer(folder: Path) -> Signer:
    return Signer(open_identity(Rules(), folder))


def clip(path: Path) -> Path:
    path.write_bytes(small_clip(1.0))
    return path


def signed(signer: Signer, folder: Path, said: Statement = SAID, original: Path | None = None) -> Path:
    target = folder / "signed.mp4"
    signer.sign(clip(folder / "clip.mp4"), target, "video/mp4", said, original)
    return target


def test_what_is_signed_verifies_and_says_what_made_it(tmp_path: Path, signer: Signer, folder: Path) -> None:
    made = signed(signer, tmp_path)
    report = verify(made)
    assert report.complaint() is None
    assert (report.signed, report.intact, report.trusted, report.problems) == (True, True, False, ())
    assert report.made_by == {
        "job": "01JOB", "provider": "fal", "model": "happyhorse-1.1",
        "model_id": "alibaba/happy-horse/v1.1/text-to-video",
    }  # fmt: skip
    assert (report.source_type, report.actions) == ("trainedAlgorithmicMedia", ("c2pa.created",))
    assert report.signer == "Muybridge, self-issued, Local signer" and report.signed_at is None
    assert verify(made, folder / "root.pem").trusted
    other = tmp_path / "other"
    open_identity(Rules(), other)
    assert not verify(made, other / "root.pem").trusted


def test_a_signed_clip_plays_as_before(tmp_path: Path, signer: Signer) -> None:
    made = signed(signer, tmp_path)
    before, after = tmp_path / "clip.mp4", made
    assert replace(probe(after)) == replace(probe(before))
    for one, two in zip(read_clip(before)[:2], read_clip(after)[:2], strict=True):
        np.testing.assert_array_equal(one, two)
    assert len(read_movie(after).tracks) == 2  # and our own walk over boxes takes it


@pytest.mark.parametrize("name, mime", [("a.png", "image/png"), ("a.jpg", "image/jpeg"), ("a.webp", "image/webp")])
def test_pictures_are_signed_too(tmp_path: Path, signer: Signer, name: str, mime: str) -> None:
    rng = np.random.default_rng(0)
    write_image(tmp_path / name, rng.integers(0, 255, (64, 64, 3), np.uint8))
    target = tmp_path / ("signed-" + name)
    signer.sign(tmp_path / name, target, mime, SAID)
    assert verify(target).complaint() is None
    data = bytearray(target.read_bytes())
    data[-40] ^= 1  # inside the picture
    target.write_bytes(data)
    assert verify(target).complaint() is not None


@pytest.mark.parametrize("where", [0.2, 0.5, 0.8, 0.999])
def test_a_flipped_bit_is_told(tmp_path: Path, signer: Signer, where: float) -> None:
    made = signed(signer, tmp_path)
    data = bytearray(made.read_bytes())
    data[int(where * len(data))] ^= 1
    made.write_bytes(data)
    report = verify(made)
    assert not report.intact and report.problems
    with pytest.raises(MediaInvalid, match="not as it was signed"):
        raise report.complaint() or AssertionError


def test_a_file_without_a_manifest_is_told(tmp_path: Path) -> None:
    report = verify(clip(tmp_path / "plain.mp4"))
    assert not report.signed
    with pytest.raises(MediaInvalid, match="carries no C2PA manifest"):
        raise report.complaint() or AssertionError
    (tmp_path / "a.txt").write_text("hello")
    for name in ("a.txt", "absent.mp4"):
        with pytest.raises(MediaInvalid):
            verify(tmp_path / name)


def provider_file(folder: Path) -> Path:
    """A clip that a provider signed with its own certificate."""
    theirs = Signer(open_identity(Rules(organisation="A Provider Ltd"), folder / "theirs"))
    path = folder / "attempt.remote"
    theirs.sign(clip(folder / "raw.mp4"), path, "video/mp4", Statement("their-job", "their-model"))
    return path


def test_a_provider_s_manifest_is_kept_as_the_parent(tmp_path: Path, signer: Signer) -> None:
    original = provider_file(tmp_path)
    assert carries_manifest(original) and not carries_manifest(tmp_path / "raw.mp4")
    report = verify(signed(signer, tmp_path, original=original))
    assert report.complaint() is None
    assert report.actions == ("c2pa.opened", "c2pa.transcoded")
    assert report.source_type == "trainedAlgorithmicMedia"
    (parent,) = report.ingredients
    assert parent["relationship"] == "parentOf" and parent["intact"] is True
    assert parent["signer"] == "A Provider Ltd, Local signer"
    assert report.made_by["original"]["manifest"] == "intact"


def test_an_altered_parent_is_kept_and_named_as_altered(tmp_path: Path, signer: Signer) -> None:
    original = provider_file(tmp_path)
    data = bytearray(original.read_bytes())
    data[-300] ^= 1
    original.write_bytes(data)
    report = verify(signed(signer, tmp_path, original=original))
    assert report.complaint() is None  # our own file is as we signed it
    assert report.made_by["original"]["manifest"] == "altered"
    assert report.ingredients[0]["intact"] is False
    assert "ALTERED" in report.text()


def test_an_unreadable_manifest_does_not_stop_a_result(tmp_path: Path, signer: Signer) -> None:
    original = provider_file(tmp_path)
    data = bytearray(original.read_bytes())
    at = data.index(b"jumb")
    data[at : at + 400] = bytes(400)
    original.write_bytes(data)
    assert carries_manifest(original) and read_in_child(original) is None
    report = verify(signed(signer, tmp_path, original=original))
    assert report.complaint() is None and report.ingredients == ()
    assert report.made_by["original"]["manifest"] == "unreadable"


def test_the_key_is_ours_alone_and_made_once(folder: Path) -> None:
    assert (folder / "key.pem").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    first = (folder / "chain.pem").read_bytes()
    assert open_identity(Rules(organisation="Another"), folder).chain == first
    leaf, root = x509.load_pem_x509_certificates(first)
    assert leaf.issuer == root.subject and leaf.public_key() != root.public_key()
    assert b"PRIVATE" not in repr(open_identity(Rules(), folder)).encode()


def test_several_processes_make_one_identity(tmp_path: Path) -> None:
    code = "import sys, pathlib, muybridge.trust.identity as i; i.issue(pathlib.Path(sys.argv[1]), 'x')"
    target = tmp_path / "provenance"
    runs = [subprocess.Popen([sys.executable, "-c", code, str(target)]) for _ in range(4)]
    assert [run.wait() for run in runs] == [0] * 4
    assert [p.name for p in tmp_path.iterdir()] == ["provenance"]
    open_identity(Rules(), target)  # key and chain belong together


def test_own_certificates_are_checked_before_they_sign(tmp_path: Path, folder: Path) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes((folder / "chain.pem").read_bytes())
    key.write_bytes((folder / "key.pem").read_bytes())
    rules = Rules(certificate=str(chain), key=str(key))
    key.chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        open_identity(rules, tmp_path)
    key.chmod(0o600)
    own = open_identity(rules, tmp_path)
    assert isinstance(own, Identity) and not own.self_issued and own.algorithm == "es256"
    open_identity(Rules(), tmp_path / "other")
    key.write_bytes((tmp_path / "other" / "key.pem").read_bytes())
    with pytest.raises(UserError, match="not the key"):
        open_identity(rules, tmp_path)
    key.write_text("no key")
    with pytest.raises(UserError, match="PEM"):
        open_identity(rules, tmp_path)


def test_a_certificate_for_another_purpose_is_refused_at_once(tmp_path: Path, folder: Path) -> None:
    root = tmp_path / "root.pem"
    root.write_bytes((folder / "root.pem").read_bytes())
    identity = open_identity(Rules(), folder)
    signer = Signer(replace(identity, chain=root.read_bytes()))  # a certificate authority may not sign files
    with pytest.raises(UserError, match="certificate"):
        signer.try_out()
    target = tmp_path / "out.mp4"
    with pytest.raises(Unavailable, match="could not be signed"):
        signer.sign(clip(tmp_path / "a.mp4"), target, "video/mp4", SAID)
    assert not target.exists()


@pytest.mark.parametrize(
    "text, told",
    [
        ("signed = true", "unknown setting 'signed'"),
        ("sign = 1", "wrong type"),
        ('key = "k.pem"', "belong together"),
        ("[", "TOML"),
    ],
)  # fmt: skip
def test_rules_name_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "provenance.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=told):
        read_rules(path)


def test_rules_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "provenance.toml"
    path.write_text('sign = true\nleave = ["kling", "local"]\norganisation = "ACME"')
    monkeypatch.setenv("MUYBRIDGE_PROVENANCE", str(path))
    assert read_rules() == Rules(leave=("kling", "local"), organisation="ACME")
    path.unlink()
    with pytest.raises(UserError):  # named, and not there
        read_rules()


def run_cli(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from muybridge.cli import main; main()", "verify", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_command_prints_and_exits_as_promised(tmp_path: Path, signer: Signer, folder: Path) -> None:
    made = signed(signer, tmp_path)
    done = run_cli(made, "--trust", folder / "root.pem", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["intact"] and report["trusted"] and report["made_by"]["job"] == "01JOB"
    plain = run_cli(made)
    assert plain.returncode == 0 and "unverified" in plain.stdout and "01JOB" in plain.stdout
    none = run_cli(tmp_path / "clip.mp4", "--json")
    assert none.returncode == 2 and json.loads(none.stdout)["signed"] is False and "no C2PA manifest" in none.stderr
    data = bytearray(made.read_bytes())
    data[-300] ^= 1
    made.write_bytes(data)
    assert run_cli(made).returncode == 2


def test_a_stranger_s_words_cannot_steer_a_terminal() -> None:
    text = Report("a.mp4", True, signer="\x1b[2J\x1b]0;title\x07", made_by={"model": "a\nb\r\x9b"}).text()
    assert all(c.isprintable() or c == "\n" for c in text)
    assert "a\nb" not in text
