"""Every provider in one ASGI application, for tests and `muybridge simulate`: own clock, faults on order, own invoices.

A request goes to `/{lane}/...`: `http://host/fal/...`, `http://host/dashscope@cn-beijing/...`; below that the paths
are the provider's own (`simulator_speech`). A fault is ordered in the prompt, `[fal:lost_answer]` or `[any:429]`.
Prices are worked out here anew, in decimals from the catalogue's text: an invoice does not share our arithmetic.
Over 400 lines with the tariff and the in-process transport, which belong to nothing else.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import json
import re
import tempfile
import threading
import time
import tomllib
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from importlib import resources
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

import httpx

FAULTS = {
    "none": "all goes well",
    "slow": "ten times as long",
    "429": "the first two submits are throttled",
    "500": "the first two submits end in an error of the provider's own",
    "503": "the first two submits find it overloaded",
    "down": "nothing listens",
    "auth": "the key is refused",
    "bad_gateway": "a gateway's page instead of an answer; no job",
    "bad_gateway_made": "a gateway's page instead of an answer; the job was made",
    "lost_answer": "the job is made, the answer is lost",
    "lost_request": "the connection breaks before the job is made",
    "no_id": "a 200 without an id; the job was made",
    "poll_500": "three polls fail",
    "poll_dropped": "three polls are cut off",
    "poll_html": "three polls get a gateway's page",
    "hidden": "the first three polls do not know the job",
    "double_push": "every push comes three times",
    "lost_push": "no push comes",
    "early_push": "the push comes before the answer to the submit",
    "failed": "it fails after a while",
    "moderation_input": "the prompt is refused",
    "moderation_output": "the result is withheld",
    "wrong_length": "the clip is two seconds short",
    "corrupt": "the file is no clip",
    "truncated": "the first two downloads are cut off",
    "download_500": "the first two downloads fail",
}
ORDERED = re.compile(r"\[([a-z]+):(\w+)\]")
Outcome = Literal["succeeded", "failed", "moderation_output"]
LATE = frozenset({"fal"})  # providers that look at an input only when the job has run
RENDER_S, QUEUE_S, SLOW = 40.0, 5.0, 10.0


class LostAnswer(Exception):
    """The connection breaks instead of an answer."""


class NotListening(Exception):
    """There is no connection."""


@dataclass
class Asked:
    """A paid order as a provider understands it."""

    model: str
    prompt: str
    seconds: float
    tier: str = "720p"
    audio: bool = True
    num_images: int = 0
    input_s: float = 0.0
    reference: str = ""
    webhook: str = ""


@dataclass
class Work:
    """One job inside a provider."""

    id: str
    lane: str
    asked: Asked
    fault: str
    created_at: float
    starts_at: float
    ends_at: float
    outcome: Outcome = "succeeded"
    cancelled: bool = False
    seen: Counter[str] = field(default_factory=Counter)
    pushed: set[str] = field(default_factory=set)

    def state(self, now: float) -> str:
        """queued, running, succeeded, failed, moderation_output or cancelled."""
        if self.cancelled:
            return "cancelled"
        return "queued" if now < self.starts_at else "running" if now < self.ends_at else self.outcome


@dataclass
class Reply:
    """An HTTP answer."""

    status: int
    json: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


class Simulator:
    """The application. `now` is the clock; `render_s` the time of a job; `clip` makes a file of so many seconds."""

    def __init__(
        self,
        now: Callable[[], float] = time.time,
        *,
        render_s: float = RENDER_S,
        clip: Callable[[float], bytes] | None = None,
        catalogs: Sequence[str] = (),
        url: str = "http://simulator",
    ) -> None:
        self.now, self.render_s, self.url = now, render_s, url
        self.clip = clip or small_clip
        self.latency_s = 0.0
        self.works: dict[str, Work] = {}
        self.by_lane: dict[str, list[Work]] = {}
        self.submits: Counter[tuple[str, str]] = Counter()  # (lane, prompt): how often a submit arrived
        self.outbox: list[tuple[float, int, str, dict[str, Any]]] = []  # a heap of pushes: (due at, number, url, body)
        self.num_calls = self.num_pushes = 0
        self.tariff = Tariff(catalogs)
        self._lock = threading.Lock()

    # What a provider does -------------------------------------------------------------------------------------------

    def submit(
        self, lane: str, asked: Asked, accepted: Callable[[Work], Reply], refused: Callable[[str], Reply]
    ) -> Reply:
        """Take an order, or do what its fault says. `accepted` and `refused` speak the provider's language."""
        provider = lane.partition("@")[0]
        fault = fault_of(provider, asked.prompt)
        with self._lock:
            self.submits[lane, asked.prompt] += 1
            tries = self.submits[lane, asked.prompt]
        if fault in ("429", "500", "503") and tries <= 2:
            return refused({"429": "rate", "500": "internal", "503": "capacity"}[fault])
        if fault == "auth" or (fault == "moderation_input" and provider not in LATE):
            return refused(fault)
        if fault == "lost_request" and tries == 1:
            raise LostAnswer
        if fault == "bad_gateway" and tries == 1:
            return _gateway(502)
        work = self._begin(lane, asked, fault)
        if fault == "early_push":
            self._push(work, "queued", self.now())
            self.deliver()
        if fault == "lost_answer":
            raise LostAnswer
        if fault == "bad_gateway_made":
            return _gateway(504)
        if fault == "no_id":
            return Reply(200, {})
        return accepted(work)

    def _begin(self, lane: str, asked: Asked, fault: str) -> Work:
        now = self.now()
        span = self.render_s * (SLOW if fault == "slow" else 1.0)
        wait = min(QUEUE_S, self.render_s / 8)
        work = Work(uuid.uuid4().hex, lane, asked, fault, now, now + wait, now + wait + span)
        if fault == "failed":
            work.outcome = "failed"
        elif fault in ("moderation_output", "moderation_input"):
            work.outcome = "moderation_output"
        with self._lock:
            self.works[work.id] = work
            self.by_lane.setdefault(lane, []).append(work)
        if asked.webhook and fault != "lost_push":
            for state, at in (("running", work.starts_at), ("ended", work.ends_at)):
                for _ in range(3 if fault == "double_push" else 1):
                    self._push(work, state, at)
        return work

    def poll(self, lane: str, work_id: str) -> Work | Reply | None:
        """A job for a query; a Reply when the query itself goes wrong; None when it is not known."""
        work = self.works.get(work_id)
        if work is None or work.lane != lane:
            return None
        work.seen["poll"] += 1
        if work.seen["poll"] <= 3:
            if work.fault == "poll_dropped":
                raise LostAnswer
            if work.fault == "poll_html":
                return _gateway(502)
            if work.fault == "poll_500":
                return Reply(500, {"oops": True})
            if work.fault == "hidden":
                return None
        return work

    def cancel(self, lane: str, work_id: str, *, running_too: bool = False) -> str:
        """cancelled, too_late or unknown."""
        work = self.works.get(work_id)
        if work is None or work.lane != lane:
            return "unknown"
        state = work.state(self.now())
        if state == "queued" or (running_too and state == "running"):
            work.cancelled = True
            return "cancelled"
        return "too_late"

    def listed(self, lane: str) -> list[Work]:
        """A lane's jobs, newest first."""
        return self.by_lane.get(lane, [])[::-1]

    def media_url(self, work: Work) -> str:
        """Where the clip lies."""
        return f"{self.url}/media/{work.id}.mp4"

    def download(self, work_id: str) -> Reply:
        """The clip, or what its fault makes of it."""
        work = self.works.get(work_id)
        if work is None or work.state(self.now()) != "succeeded":
            return Reply(404, {})
        work.seen["download"] += 1
        seconds = work.asked.seconds - (2.0 if work.fault == "wrong_length" else 0.0)
        data = b"not a clip at all, " * 200 if work.fault == "corrupt" else self.clip(seconds)
        if work.seen["download"] <= 2 and work.fault == "download_500":
            return Reply(500, {})
        if work.seen["download"] <= 2 and work.fault == "truncated":
            return Reply(200, body=data[: len(data) // 2], headers={"content-length": str(len(data))})
        return Reply(200, body=data, headers={"content-type": "video/mp4"})

    # Pushes ---------------------------------------------------------------------------------------------------------

    def _push(self, work: Work, state: str, at: float) -> None:
        name = self.public_id(work)
        body = {"id": name, "request_id": name, "task_id": name, "name": name, "status": state}
        with self._lock:
            self.num_pushes += 1
            heapq.heappush(self.outbox, (at, self.num_pushes, work.asked.webhook, body))

    def deliver(self, send: Callable[[str, dict[str, Any]], None] | None = None) -> int:
        """Hand over the pushes that are due, to `send` or to `on_push`; how many."""
        now, due = self.now(), []
        with self._lock:
            while self.outbox and self.outbox[0][0] <= now:
                due.append(heapq.heappop(self.outbox))
        for _, _, url, body in due:
            (send or self.on_push)(url, body)
        return len(due)

    def on_push(self, url: str, body: dict[str, Any]) -> None:
        """Where pushes go when nobody said so: nowhere. Tests replace it."""

    @staticmethod
    def public_id(work: Work) -> str:
        """How the provider calls the job."""
        return f"models/{work.asked.model}/operations/{work.id}" if work.lane.startswith("google") else work.id

    # Money ----------------------------------------------------------------------------------------------------------

    def billed(self) -> list[tuple[Work, int]]:
        """Every job that the providers bill, with millionths of a US dollar: those that were made, used or not."""
        now = self.now()
        made = [w for w in self.works.values() if w.outcome == "succeeded" and not w.cancelled and now >= w.ends_at]
        return [(w, self.price(w)) for w in made]

    def price(self, work: Work) -> int:
        """What a job costs."""
        return self.tariff.micros(work.lane, work.asked, work.created_at)

    def units(self, work: Work) -> float:
        """The same in the provider's credits or units."""
        return self.tariff.units(work.lane, work.asked, work.created_at)

    # ASGI -----------------------------------------------------------------------------------------------------------

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Mapping[str, Any]]],
        send: Callable[[Mapping[str, Any]], Awaitable[None]],
    ) -> None:
        """One exchange."""
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        query = dict(parse_qsl(scope["query_string"].decode()))
        reply = self.answer(scope["method"], scope["path"], query, body)
        content = reply.body if reply.body is not None else json.dumps(reply.json).encode()
        headers = {"content-type": "application/json", "content-length": str(len(content)), **reply.headers}
        pairs = [(k.encode(), v.encode()) for k, v in headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": pairs})
        await send({"type": "http.response.body", "body": content})

    def answer(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Reply:
        """The reply to one request."""
        from muybridge.providers import simulator_speech

        self.num_calls += 1
        lane, _, rest = path.lstrip("/").partition("/")
        if lane == "media":
            return self.download(rest.removesuffix(".mp4"))
        speak = simulator_speech.SPEAKERS.get(lane.partition("@")[0])
        if speak is None:
            return Reply(404, {"error": f"there is no provider {lane!r} here"})
        given = json.loads(body) if body else {}
        found = speak(self, lane, method, "/" + rest, dict(query), given)
        return found if found is not None else Reply(404, {"error": {"message": "no such path"}, "code": "NotFound"})


def fault_of(provider: str, prompt: str) -> str:
    """The fault that a prompt orders for a provider."""
    found = dict(ORDERED.findall(prompt))
    fault = str(found.get(provider) or found.get("any") or "none")
    return fault if fault in FAULTS else "none"


def _gateway(status: int) -> Reply:
    page = b"<html><body>Bad Gateway</body></html>"
    return Reply(status, body=page, headers={"content-type": "text/html"})


@functools.lru_cache(maxsize=64)
def small_clip(seconds: float) -> bytes:
    """A real clip with sound, 128 x 72."""
    import numpy as np

    from muybridge.media import write_clip

    num_frames = round(seconds * 25)
    ramp = np.linspace(0, 255, 128, dtype=np.uint8)
    frames_TYXC = np.broadcast_to(ramp[None, None, :, None], (num_frames, 72, 128, 3)).copy()
    tone_CS = 0.1 * np.sin(2 * np.pi * 220 * np.arange(num_frames * 640) / 16_000)[None].astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        made = write_clip(Path(folder) / "clip.mp4", frames_TYXC, tone_CS, sample_rate=16_000)
        assert made.path is not None
        return made.path.read_bytes()


class Tariff:
    """Invoices in decimals, from the catalogue's text; shares nothing with `price`."""

    def __init__(self, more: Sequence[str] = ()) -> None:
        own = resources.files("muybridge.providers").joinpath("catalog.toml").read_text(encoding="utf-8")
        self._rates: dict[str, Any] = {}
        self._tables: dict[tuple[str, str], dict[str, Any]] = {}
        for text in (own, *more):
            data = tomllib.loads(text, parse_float=Decimal)
            self._rates |= data.get("rates", {})
            for offer in data.get("offers", ()):
                lane = offer["provider"] + (f"@{offer['region']}" if offer.get("region") else "")
                for seller_id in offer["ids"].values():
                    if "price" in offer:
                        self._tables[lane, seller_id] = offer["price"]

    def amount(self, lane: str, asked: Asked, at: float) -> Decimal:
        """The price in the offer's currency."""
        table = self._tables[lane, asked.model]
        seconds, input_s = Decimal(repr(asked.seconds)), Decimal(repr(asked.input_s))
        step = Decimal(table.get("round_s", 0))
        if step:
            seconds = (seconds / step).to_integral_value(ROUND_CEILING) * step
        if "per_clip" in table:
            lengths = table["per_clip"][asked.tier]
            total = Decimal(lengths[min((k for k in lengths if Decimal(k) >= seconds), key=Decimal)])
        elif "per_million_tokens" in table:
            total = Decimal(table["per_million_tokens"]) * table["tokens_per_s"][asked.tier] * seconds / 1_000_000
        else:
            silent = not asked.audio and "silent_per_s" in table
            total = Decimal(table["silent_per_s" if silent else "per_s"][asked.tier]) * seconds
        if input_s and "input_per_s" in table:
            total += Decimal(table["input_per_s"][asked.tier]) * input_s
        extra = asked.num_images - int(table.get("free_images", 0))
        total += Decimal(table.get("per_image", 0)) * max(extra, 0)
        total = max(total, Decimal(table.get("minimum", 0)))
        promotion = table.get("promotion")
        if promotion:
            day = time.strftime("%Y-%m-%d", time.gmtime(at))
            if str(promotion.get("start", "")) <= day < str(promotion["end"]):
                total *= 1 - Decimal(promotion["cut"])
        return total

    def micros(self, lane: str, asked: Asked, at: float) -> int:
        """The price in millionths of a US dollar."""
        table = self._tables[lane, asked.model]
        rate = Decimal(self._rates.get(table.get("currency", "USD"), 1)).quantize(Decimal("0.000001"))
        dollars = self.amount(lane, asked, at) * rate
        return int((dollars * 1_000_000).to_integral_value(ROUND_HALF_UP))

    def tokens(self, lane: str, asked: Asked) -> float:
        """What a price in tokens counts."""
        return float(self._tables[lane, asked.model]["tokens_per_s"][asked.tier] * Decimal(repr(asked.seconds)))

    def units(self, lane: str, asked: Asked, at: float) -> float:
        """The price in credits or units."""
        table = self._tables[lane, asked.model]
        return float(self.amount(lane, asked, at) / Decimal(table.get("per_unit", 1)))


class InProcess(httpx.BaseTransport):
    """Calls an ASGI application that never really waits, without an event loop or a socket."""

    def __init__(self, app: Simulator) -> None:
        self.app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange; the simulator's broken connections become httpx's errors."""
        lane = request.url.path.lstrip("/").partition("/")[0]
        text = request.content.decode("utf-8", "replace") if request.method == "POST" else ""
        if fault_of(lane.partition("@")[0], text) == "down":
            raise httpx.ConnectError("nothing listens", request=request)
        query = dict(request.url.params)
        try:
            reply = self.app.answer(request.method, request.url.path, query, request.read())
        except LostAnswer:
            raise httpx.ReadError("the connection broke", request=request) from None
        content = reply.body if reply.body is not None else json.dumps(reply.json).encode()
        headers = {"content-type": "application/json", "content-length": str(len(content)), **reply.headers}
        return httpx.Response(reply.status, headers=headers, stream=_Bytes(content), request=request)


class _Bytes(httpx.SyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
