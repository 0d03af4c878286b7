"""Results of providers are hostile media until they are ours: decoded in a locked child, cut and scaled."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from muybridge.errors import MediaFetch, MediaInvalid
from muybridge.jobs.job import NewJob
from muybridge.jobs.store import Store
from muybridge.media import probe
from muybridge.providers.catalog import shipped
from muybridge.providers.client import Remote
from muybridge.providers.ledger import Ledger
from muybridge.providers.provider import Order, Source, Ticket
from muybridge.providers.results import check, files
from muybridge.providers.simulator import small_clip
from muybridge.request import AudioMode, Request


def order(**wish: object) -> Order:
    offer = next(o for o in shipped().offers if o.key == "fal/happyhorse-1.1")
    request = Request(**{"prompt": "x", "seconds": 4.0, "size": "128x72"} | wish)  # type: ignore[arg-type]
    return Order("ref", offer, request, "t2v", "720p", "16:9", request.seconds, True)


def raw(folder: Path, data: bytes) -> Path:
    path = folder / "attempt.remote"
    path.write_bytes(data)
    return path


def test_a_fitting_clip_becomes_our_own_encoding(tmp_path: Path) -> None:
    source = raw(tmp_path, small_clip(4.0))
    made = check(source, order())
    assert (made.width, made.height, round(made.seconds, 2)) == (128, 72, 4.0)
    assert made.path.read_bytes() != source.read_bytes()
    kinds = {f.kind: f for f in files(made, tmp_path)}
    assert set(kinds) == {"video", "thumbnail", "spritesheet", "last_frame"}
    assert all(f.path.stat().st_size > 0 for f in kinds.values())


def test_longer_and_larger_than_asked_is_cut_and_scaled(tmp_path: Path) -> None:
    wish = order(seconds=3.0, size="96x96")
    made = check(raw(tmp_path, small_clip(5.0)), replace(wish, seconds=5.0))
    info = probe(made.path)
    assert (info.width, info.height) == (96, 96)
    assert info.duration_s == pytest.approx(3.0, abs=0.05)
    assert info.audio_codec
    silent = check(raw(tmp_path, small_clip(5.0)), order(audio_mode=AudioMode.NONE))
    assert not probe(silent.path).audio_codec


@pytest.mark.parametrize("data", [b"<html>sorry</html>" * 99, small_clip(2.0), small_clip(4.0)[:900], b""])
def test_what_is_no_clip_or_too_short_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(MediaInvalid):
        check(raw(tmp_path, data), order())


def test_the_own_queue_is_read_beside_the_jobs(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "jobs.sqlite")
    ledger = Ledger.open(store.database.url)
    assert ledger.own_queue_s(("15b",)) == 0.0
    for model in ("15b", "15b", "auto"):
        store.create(NewJob("t", "k", "native", model, {"prompt": "x"}, quote={"seconds": 38.0}))
    assert ledger.own_queue_s(("15b", "tiny")) == 76.0
    ledger.close()
    store.close()


def test_the_simulator_serves_over_a_real_socket() -> None:
    code = "from muybridge.providers.tell import serve_simulator; serve_simulator(18843, 0.2, True)"
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None and b"bases" in server.stdout.readline()
        until = time.monotonic() + 20
        body = {"prompt": "A horse.", "resolution": "720p", "duration": 4}
        url = "http://127.0.0.1:18843/fal/alibaba/happy-horse/v1.1/text-to-video"
        while True:
            try:
                answer = httpx.post(url, json=body, trust_env=False)
                break
            except httpx.ConnectError:
                assert time.monotonic() < until
                time.sleep(0.1)
        assert answer.status_code == 200 and answer.json()["status"] == "IN_QUEUE"
        lost = httpx.post(url, json=body | {"prompt": "[fal:lost_answer]"}, trust_env=False)
        assert lost.status_code == 500 and "json" not in lost.headers["content-type"]  # nothing that a provider says
    finally:
        server.terminate()
        server.communicate()


# Where results are fetched from -------------------------------------------------------------------------------------

PUBLIC = "93.184.216.34"


def remote(transport: httpx.BaseTransport | None = None, **more: object) -> Remote:
    offer = next(o for o in shipped().offers if o.key == "fal/happyhorse-1.1")
    return Remote("fal", (offer,), "our-key", transport=transport, **more)  # type: ignore[arg-type]


def test_a_second_dns_answer_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: a name that is public when it is checked and 127.0.0.1 when it is used."""
    answers, connected = [[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]], []

    def connect(address: tuple[str, int], *_: object) -> None:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr("muybridge.fetch.resolve", lambda *_: answers.pop(0))
    monkeypatch.setattr("muybridge.fetch.socket.create_connection", connect)
    account = remote()
    with pytest.raises(MediaFetch):
        account.fetch(Ticket("1", "m", "t2v", 0.0), Source("https://clips.example.com/a.mp4"), tmp_path / "a")
    assert connected == [(PUBLIC, 443)]
    assert len(answers) == 2  # asked once
    account.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://clips.example.com/a.mp4", "https://127.0.0.1/a.mp4", "https://169.254.169.254/latest", "file:///etc/passwd",
        "https://user:secret@clips.example.com/a.mp4", "https://clips.example.com:22/a.mp4", "https://[::1]/a.mp4",
    ],
)  # fmt: skip
def test_addresses_that_a_provider_may_not_send_us_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("nothing may be connected to")

    monkeypatch.setattr("muybridge.fetch.socket.create_connection", connect)
    ticket = Ticket("1", "m", "t2v", 0.0)
    direct = remote()
    with pytest.raises(MediaFetch):
        direct.fetch(ticket, Source(url), tmp_path / "a")
    direct.close()
    # Nor by a redirect from the provider's own host, where our key would be known.
    hops = httpx.MockTransport(lambda _: httpx.Response(302, headers={"location": url}))
    redirecting = remote(hops)
    with pytest.raises(MediaFetch):
        redirecting.fetch(ticket, Source(f"{redirecting.base}/a.mp4", ours=True), tmp_path / "a")
    redirecting.close()
    assert not list(tmp_path.iterdir())
