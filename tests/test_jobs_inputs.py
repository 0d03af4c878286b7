"""Input files reach a worker that does not see the API's folder: through the artifact store, checked, and removed."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from jobs_database import postgres
from starlette.testclient import TestClient
from test_jobs_artifacts import bucket, place

from muybridge.api.app import create_app
from muybridge.api.service import Service
from muybridge.config import ServerConfig
from muybridge.jobs import inputs
from muybridge.jobs.artifacts import ArtifactStore, open_artifacts, sweep
from muybridge.jobs.job import INPUTS, Job
from muybridge.jobs.postgres import PostgresServer
from muybridge.jobs.worker import Hook, ResultFile, RunResult, WorkerSpec, run_worker
from muybridge.media import write_image

__all__ = ["bucket", "place", "postgres"]  # fixtures
SPEC = WorkerSpec("", "", "", backoff_s=0.0)


class Reader:
    """A runner that returns the bytes of its first frame and reference, and where it read them."""

    def __init__(self) -> None:
        self.paths: list[Path] = []

    def __call__(self, job: Job, checkpoint: bytes | None, hook: Hook, workdir: Path) -> RunResult:
        del checkpoint, hook
        self.paths = [Path(job.request["image"])]
        target = workdir / "clip.bin"
        target.write_bytes(b"".join(path.read_bytes() for path in self.paths))
        return RunResult((ResultFile("video", target, "video/mp4"),))


@pytest.mark.parametrize("sees_the_folder", [True, False])
def test_a_worker_on_another_machine_reads_the_inputs(
    postgres: PostgresServer, place: str, tmp_path: Path, sees_the_folder: bool
) -> None:
    import numpy as np

    data = tmp_path / "api-machine"
    picture = write_image(tmp_path / "picture.png", np.full((480, 640, 3), 7, np.uint8))
    app = create_app(ServerConfig(data=data, database=postgres.url, artifacts=place, workers=0))
    reader = Reader()
    with TestClient(app) as client:
        service: Service = client.app.state.service  # type: ignore[attr-defined]
        key = {"Authorization": f"Bearer {service.keys.create('test')[1]}"}
        with picture.open("rb") as file:
            made = client.post("/v1/videos", data={"prompt": "x"}, files={"image": file}, headers=key)
        assert made.status_code == 200, made.text
        job = service.store.get(service.job_id(made.json()["id"], "native"))
        local = Path(job.request["image"])
        wanted = hashlib.sha256(local.read_bytes()).hexdigest()
        assert job.metadata[INPUTS][str(local)]["sha256"] == wanted
        if not sees_the_folder:
            shutil.rmtree(data / "media")
        run_worker(service.store, open_artifacts(place), reader, spec=SPEC, until_idle=True)
        done = service.store.get(job.id)
        assert done.status == "completed", done.error
        assert done.artifacts[0].sha256 == wanted
        assert (reader.paths[0] == local) is sees_the_folder  # no copy is made where the file is at hand
        assert done.request["image"] == str(local)
        assert "inputs" not in client.get(f"/v1/videos/{made.json()['id']}", headers=key).json()["metadata"]
        client.delete(f"/v1/videos/{made.json()['id']}", headers=key)
        assert service.artifacts.list(job.id) == []


def test_inputs_of_a_cancelled_job_are_removed(postgres: PostgresServer, tmp_path: Path) -> None:
    app = create_app(ServerConfig(data=tmp_path / "d", database=postgres.url, artifacts=str(tmp_path / "a"), workers=0))
    with TestClient(app) as client:
        service: Service = client.app.state.service  # type: ignore[attr-defined]
        key = service.keys.authenticate(service.keys.create("test")[1])
        (tmp_path / "d/media").mkdir(parents=True, exist_ok=True)
        image = tmp_path / "d/media/x.png"
        image.write_bytes(b"picture")
        request = {"prompt": "x", "image": str(image)}
        job = service.submit(key, "native", "tiny", request, {"a": 1}, idempotency_key="once")
        assert service.artifacts.list(job.id) == [f"{job.id}/inputs/0.png"]
        again = service.submit(key, "native", "tiny", request, {"a": 1}, idempotency_key="once")
        assert again.id == job.id
        folders = [p.name for p in (tmp_path / "a").iterdir()]
        assert folders == [job.id]  # the second submit left nothing
        service.cancel(key, job.id)
        sweep(service.store, service.artifacts)
        assert service.artifacts.list(job.id) == []


def test_a_damaged_copy_is_not_worked_on(tmp_path: Path) -> None:
    artifacts: ArtifactStore = open_artifacts(tmp_path / "a")
    source = tmp_path / "x.png"
    source.write_bytes(b"picture")
    seen: list[int] = []
    kept = inputs.keep(artifacts, "J1", [str(source)])
    source.unlink()
    artifacts.put("J1/inputs/0.png", b"another")
    job = Job("J1", "t", "k", "native", "m", {"image": str(source)}, {}, "queued", 0.0, metadata={"inputs": kept})
    with pytest.raises(Exception, match="damaged"):
        inputs.here(artifacts, job, tmp_path, seen.append)
    artifacts.delete_job("J1")
    with pytest.raises(Exception, match="gone"):
        inputs.here(artifacts, job, tmp_path, seen.append)


def test_only_files_of_the_servers_folder_are_taken(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    inside, outside = tmp_path / "data/in.png", tmp_path / "out.png"
    for path in (inside, outside):
        path.write_bytes(b"x")
    request = {"image": str(inside), "references": [{"image": str(outside)}], "prompt": f"{outside}", "seed": 3}
    assert inputs.paths_in(request, tmp_path / "data") == [str(inside)]
