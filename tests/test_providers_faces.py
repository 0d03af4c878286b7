"""Our remotes against our own API: two sides of each protocol that were written apart, over a real connection."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_server import ApiServer

from muybridge.media import probe
from muybridge.providers.catalog import Offer, parse, shipped
from muybridge.providers.client import Remote
from muybridge.providers.provider import Absent, Accepted, CannotTell, Found, Inputs, Order, Poll, Rejected, Ticket
from muybridge.providers.remote import inputs_of
from muybridge.request import Request

# provider: (where its API lies on our server, a name that our server takes)
FACES = {
    "dashscope": ("/api/v1", "happyhorse-1.1-t2v"),
    "fal": ("/fal/queue", "alibaba/happy-horse/v1.1/text-to-video"),
    "openai": ("/v1", "sora-2"),
    "google": ("/v1beta", "veo-3.1-generate-preview"),
    "omni": ("/v1beta", "gemini-omni-1.2-flash"),
    "runway": ("", "happyhorse_1_0"),
    "xai": ("/xai/v1", "grok-imagine-video-1.5"),
    "ark": ("/api/v3", "doubao-seedance-2-0-260128"),
    "replicate": ("/v1", "alibaba/happyhorse-1.1"),
}
OFFER = """
[models.ours]
family = "ours"
tasks = ["t2v", "i2v"]
seconds = [3, 15]
tiers = ["480p", "720p", "1080p"]
ratios = ["16:9", "9:16"]
audio = "always"
[[offers]]
model = "ours"
provider = "{provider}"
ids = {{ t2v = "{name}", i2v = "{i2v}" }}
price = {{ per_s = {{ 720p = 0.1 }} }}
"""


def offer_of(provider: str) -> Offer:
    name = FACES[provider][1]
    i2v = name.replace("-t2v", "-i2v").replace("text-to-video", "image-to-video")
    catalog = parse(OFFER.format(provider=provider, name=name, i2v=i2v), shipped())
    return next(o for o in catalog.offers if o.model.name == "ours")


@pytest.fixture(params=sorted(FACES))
def remote(request: pytest.FixtureRequest, api_server: ApiServer) -> Iterator[Remote]:
    provider = request.param
    made = Remote(
        provider, (offer_of(provider),), api_server.key, base=api_server.url + FACES[provider][0], trusted=True
    )
    yield made
    made.close()


def order(remote: Remote, prompt: str, **more: object) -> Order:
    seconds = 4.0
    request = Request(prompt, size="720p", seconds=seconds, seed=7)
    return Order(
        reference="01REFERENCE", offer=remote.offers[0], request=request, task="t2v", tier="720p", ratio="16:9",
        seconds=seconds, audio=True, created_at=time.time(), **more,
    )  # type: ignore[arg-type]  # fmt: skip


def ended(remote: Remote, ticket: Ticket) -> Poll:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = remote.poll(ticket)
        if isinstance(found, Poll) and found.state in ("succeeded", "failed", "cancelled", "gone"):
            return found
        time.sleep(0.05)
    raise AssertionError(f"{remote.name}: still {found}")


def test_submit_poll_fetch(remote: Remote, tmp_path: Path) -> None:
    placed = remote.submit(order(remote, f"A paper boat for {remote.name}."))
    assert isinstance(placed, Accepted), placed
    found = ended(remote, placed.ticket)
    assert found.state == "succeeded", found
    size = remote.fetch(placed.ticket, found.results[0], tmp_path / "clip.mp4")
    assert size == (tmp_path / "clip.mp4").stat().st_size
    assert probe(tmp_path / "clip.mp4").duration_s == pytest.approx(4.0, abs=0.05)


def test_a_failing_job_is_a_failure_in_our_classes(remote: Remote) -> None:
    placed = remote.submit(order(remote, "[fail provider_error]"))
    assert isinstance(placed, Accepted), placed
    found = ended(remote, placed.ticket)
    assert found.state == "failed"
    assert found.failure is not None
    assert found.failure.kind in ("internal", "capacity", "timeout"), found.failure


def test_a_wrong_key_is_our_own_fault(remote: Remote) -> None:
    stranger = Remote(remote.name, remote.offers, "not-a-key", base=remote.base, trusted=True)
    placed = stranger.submit(order(remote, "A paper boat."))
    assert isinstance(placed, Rejected)
    assert placed.failure.kind == "auth", placed.failure
    stranger.close()


def test_a_first_frame_travels_inline(remote: Remote, api_server: ApiServer) -> None:
    request = Request("It moves.", image=api_server.outside.image, size="720p", seconds=4.0)
    placed = remote.submit(
        Order("01REFERENCE", remote.offers[0], request, "i2v", "720p", "16:9", 4.0, True, inputs_of(request),
              created_at=time.time())
    )  # fmt: skip
    assert isinstance(placed, Accepted), placed
    assert ended(remote, placed.ticket).state == "succeeded"


def test_a_lost_submit_is_found_by_its_prompt_where_there_is_a_list(remote: Remote) -> None:
    lost = order(remote, f"Only once said, by {remote.name} at {time.time()}.")
    placed = remote.submit(lost)
    assert isinstance(placed, Accepted)
    ended(remote, placed.ticket)
    found = remote.find(lost, frozenset(), 0)
    if remote.name in ("fal", "google", "omni", "runway", "xai"):
        assert isinstance(found, CannotTell) and found.ever
    elif remote.name == "ark":  # its list names no prompt: with other jobs in it nobody can tell
        assert isinstance(found, Found | CannotTell)
    else:
        assert isinstance(found, Found), found
        assert found.ticket.id == placed.ticket.id
        assert not isinstance(remote.find(lost, frozenset({placed.ticket.id}), 0), Found)


def test_cancel(remote: Remote) -> None:
    placed = remote.submit(order(remote, "[hold] A long one."))
    assert isinstance(placed, Accepted)
    outcome = remote.cancel(placed.ticket)
    if remote.name in ("google", "xai"):
        assert outcome == "impossible"
    else:
        assert outcome in ("cancelled", "requested", "too_late"), outcome


def test_inputs_are_typed() -> None:
    assert Inputs().references == ()
    assert Absent() == Absent()
