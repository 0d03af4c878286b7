"""Artifact stores: a folder and a bucket (a real S3 endpoint over HTTP, served by moto) behave alike."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from jobs_database import new_job, postgres, spec, store, url

from muybridge.errors import NotFound, UserError
from muybridge.jobs import toy
from muybridge.jobs.artifacts import ArtifactStore, artifact_key, open_artifacts, sweep
from muybridge.jobs.store import Store
from muybridge.jobs.worker import WorkerSpec, run_worker

__all__ = ["postgres", "spec", "store", "url"]  # fixtures


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The address of an empty bucket on a server of our own."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        endpoint = f"http://{host}:{port}"
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="clips")
        yield f"s3://clips/some/prefix?endpoint={endpoint}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "artifacts") if request.param == "folder" else request.getfixturevalue("bucket")


@pytest.fixture
def artifacts(place: str) -> ArtifactStore:
    return open_artifacts(place)


def test_what_is_put_can_be_read(artifacts: ArtifactStore, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "clip.mp4").write_bytes(data)
    artifacts.put("J1/1/clip.mp4", tmp_path / "clip.mp4", "video/mp4")
    artifacts.put("J1/2/note", b"small")
    assert artifacts.get("J1/1/clip.mp4") == data and artifacts.size("J1/1/clip.mp4") == len(data)
    for start, end in ((0, None), (5, 10), (1_500_000, None), (2_999_999, 9_000_000), (7, 7), (4_000_000, None)):
        assert b"".join(artifacts.open_range("J1/1/clip.mp4", start, end)) == data[start:end]
    artifacts.put("J1/2/note", b"replaced")
    assert artifacts.get("J1/2/note") == b"replaced"
    assert artifacts.list("J1") == ["J1/1/clip.mp4", "J1/2/note"]
    assert artifacts.delete_job("J1") == 2


def test_what_is_deleted_is_gone(artifacts: ArtifactStore) -> None:
    for key in ("J2/1/a", "J2/2/b", "J22/1/c"):
        artifacts.put(key, b"x")
    assert artifacts.delete("J2/1/a") and not artifacts.delete("J2/1/a")
    for read in (artifacts.get, artifacts.size, lambda k: list(artifacts.open_range(k))):
        with pytest.raises(NotFound, match="J2/1/a"):
            read("J2/1/a")
    assert artifacts.delete_job("J2") == 1 and artifacts.delete_job("J2") == 0
    assert artifacts.list("J2") == [] and artifacts.list("J22") == ["J22/1/c"], "another job's files stay"
    artifacts.delete_job("J22")


@pytest.mark.parametrize(
    "key", ["../x", "/etc/passwd", "a", "a//b", "a/../b", "a/./b", "a/.hidden", "a/b\n", "", "a/ü"]
)
def test_keys_cannot_leave_their_place(artifacts: ArtifactStore, key: str) -> None:
    for act in (artifacts.get, artifacts.size, artifacts.delete, lambda k: artifacts.put(k, b"x")):
        with pytest.raises(UserError, match="no artifact key"):
            act(key)


def test_names_cannot_leave_their_attempt() -> None:
    assert artifact_key("J", 3, "clip.mp4") == "J/3/clip.mp4"
    with pytest.raises(UserError):
        artifact_key("J", 3, "../4/clip.mp4")


def test_links_work_without_us(bucket: str, tmp_path: Path) -> None:
    stored = open_artifacts(bucket)
    stored.put("J3/1/clip.mp4", b"clip", "video/mp4")
    link = stored.url("J3/1/clip.mp4", 60.0, "horse.mp4")
    assert link is not None
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"clip"
        assert answer.headers["Content-Type"] == "video/mp4"
        assert 'filename="horse.mp4"' in answer.headers["Content-Disposition"]
    assert open_artifacts(tmp_path / "a").url("J3/1/clip.mp4", 60.0) is None


def test_a_file_is_whole_or_absent_when_its_writer_is_killed(tmp_path: Path) -> None:
    """SIGKILL at many moments of a put: whoever reads sees all of the old bytes or all of the new ones."""
    stored = open_artifacts(tmp_path / "a")
    big = [bytes([n]) * 4_000_000 for n in range(2)]
    stored.put("J/1/x", big[0])
    for n in range(20):
        pid = os.fork()
        if pid == 0:
            while True:
                for data in big:
                    stored.put("J/1/x", data)
        time.sleep(0.002 * n)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert stored.get("J/1/x") in big
    assert stored.list("J") == ["J/1/x"]
    assert stored.delete_job("J") >= 1 and not (tmp_path / "a" / "J").exists(), "remains of killed puts go too"


def test_a_job_from_start_to_sweep(store: Store, spec: WorkerSpec, place: str) -> None:
    """Attempts write apart from each other; after publication no checkpoint is left; after deletion nothing is."""
    artifacts = open_artifacts(place)
    job, _ = store.create(new_job(steps=6, raises="timeout", raises_until_attempt=1))
    run_worker(store, artifacts, toy.runner, spec=replace(spec, artifacts=place), until_idle=True)
    done = store.get(job.id)
    assert [a.key for a in done.artifacts] == [f"{job.id}/2/clip.npy"]
    assert artifacts.list(job.id) == [f"{job.id}/2/clip.npy"]
    store.delete(job.id, "acme")
    (receipt,) = sweep(store, artifacts)
    assert receipt.num_removed == 1 and receipt.artifacts[0].sha256 == done.artifacts[0].sha256
    assert artifacts.list(job.id) == []


def test_addresses() -> None:
    with pytest.raises(UserError, match="folder or s3"):
        open_artifacts("ftp://somewhere")
