"""`muybridge generate --model PROVIDER/MODEL`: a job of its own, run here, found again after an interruption."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from muybridge import media
from muybridge.config import settings
from muybridge.errors import ProviderFailed
from muybridge.jobs.job import Job
from muybridge.jobs.worker import Hook, ResultFile, RunResult
from muybridge.providers import once
from muybridge.request import Request

REQUEST = Request("a horse", seconds=3, size="64x64")


class Provider:
    """Stands where the routed runner stands: makes a small clip, or stops as it is told."""

    def __init__(self, fail: str = "", interrupted: bool = False) -> None:
        self.fail, self.interrupted = fail, interrupted
        self.seen: list[str] = []

    def __call__(self, job: Job, checkpoint: bytes | None, hook: Hook, workdir: Path) -> RunResult:
        del checkpoint
        self.seen.append(job.id)
        hook.step("remote", 50.0)
        if self.interrupted:
            raise KeyboardInterrupt
        if self.fail:
            raise ProviderFailed(self.fail)
        path = workdir / "clip.mp4"
        media.write_clip(path, np.full((75, 64, 64, 3), 90, np.uint8), None, poster=False)
        return RunResult((ResultFile("video", path, "video/mp4", 64, 64, 3.0, 25.0),), {"output_s": 3.0}, "far/away")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings()
    monkeypatch.setattr("muybridge.providers.once.settings", lambda: type(found)(tmp_path, tmp_path, None, "warning"))
    monkeypatch.setattr("muybridge.providers.remote.quote", lambda *_: {"seconds": 10.0, "cost": 0.3})


def test_the_clip_and_its_sheet_are_written(tmp_path: Path) -> None:
    out = tmp_path / "out" / "clip.mp4"
    made = once.make_clip(REQUEST, "far/away", out, quiet=True, runner=Provider())
    assert made["num_frames"] == 75
    assert (made["width"], made["height"]) == (64, 64)
    assert media.probe(out).duration_s == pytest.approx(3.0)
    assert Path(made["contact_sheet"]).is_file()


def test_a_provider_s_reason_reaches_the_user(tmp_path: Path) -> None:
    with pytest.raises(ProviderFailed, match="no horses today"):
        once.make_clip(REQUEST, "far/away", tmp_path / "clip.mp4", quiet=True, runner=Provider("no horses today"))


def test_another_call_after_an_interruption_goes_on_with_the_same_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "LEASE_S", 1.0)
    first, second = Provider(interrupted=True), Provider()
    with pytest.raises(KeyboardInterrupt):
        once.make_clip(REQUEST, "far/away", tmp_path / "clip.mp4", quiet=True, runner=first)
    made = once.make_clip(REQUEST, "far/away", tmp_path / "clip.mp4", quiet=True, runner=second)
    assert made["model"] == "far/away"
    assert first.seen == second.seen
