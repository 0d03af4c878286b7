"""One account with one remote provider: the provider protocol over httpx, whatever the wire.

The transport can be exchanged, as in httpx, so tests run against the simulator in the same process.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from muybridge.errors import InvalidRequest, MediaFetch
from muybridge.fetch import FetchPolicy, fetch
from muybridge.providers import (
    ark,
    dashscope,
    fal,
    google,
    kling,
    luma,
    minimax,
    omni,
    openai,
    openrouter,
    replicate,
    runway,
    xai,
)
from muybridge.providers.catalog import Offer, days
from muybridge.providers.fit import Needs, Plan, measure_of, needs_of
from muybridge.providers.provider import (
    Absent,
    Accepted,
    CancelOutcome,
    CannotTell,
    Failure,
    Found,
    Lookup,
    Order,
    Poll,
    Quote,
    Rejected,
    Source,
    Submitted,
    Ticket,
    Trouble,
    Unknown,
)
from muybridge.providers.wire import Answer, Call, Listed, Wire, outcome, read_answer

WIRES: Mapping[str, Wire] = MappingProxyType(
    {
        "ark": ark,
        "azure": openai,
        "dashscope": dashscope,
        "fal": fal,
        "google": google,
        "kling": kling,
        "luma": luma,
        "minimax": minimax,
        "omni": omni,
        "openai": openai,
        "openrouter": openrouter,
        "replicate": replicate,
        "runway": runway,
        "xai": xai,
    }
)
MAX_ANSWER_BYTES = 256 << 20  # some answers carry the clip itself
MAX_RESULT_BYTES = 1 << 30
CONNECT_S, ANSWER_S, RESULT_S = 10.0, 60.0, 300.0
MAX_PAGES = 50
BY_TIME_S = 60.0
MAX_LOOKS = 20  # jobs of a list that are asked for their prompt at one time
LIST_LAG_S = 60.0  # a list that does not show a job may still be behind
NEAR_S = 600.0  # how far a listed job's time may lie from our submit, other clocks being wrong

# Results at addresses that a provider names: https and public only, connected to as checked (no DNS rebinding), no
# proxies of the environment. Where a proxy is the only way out, the operator trusts the provider instead.
RESULTS = FetchPolicy(MAX_RESULT_BYTES, RESULT_S)
_PLAIN = {"Accept-Encoding": "identity"}  # so that Content-Length is the size of the file

# Raised before the request has left us: the provider cannot have seen it.
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL)


class Remote:
    """A provider's account in one region. Safe from any thread; `close` it."""

    def __init__(
        self,
        name: str,
        offers: tuple[Offer, ...],
        key: str,
        *,
        region: str = "",
        base: str | None = None,
        wire: Wire | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.time,
        trusted: bool = False,
    ) -> None:
        self.name, self.region, self.offers = name, region, offers
        self.wire = wire or WIRES[name]
        self.base = (base or self.wire.base(region)).rstrip("/")
        self.clock = clock
        self.trusted = trusted  # results may lie on private addresses: the simulator, an engine in the same network
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        self._http = httpx.Client(
            transport=transport, timeout=timeout, follow_redirects=False, trust_env=transport is None
        )
        self._headers = {"Accept": "application/json", **self.wire.headers(key)}

    @property
    def poll_s(self) -> float:
        """As the protocol asks."""
        return self.wire.POLL_S

    @property
    def retention_s(self) -> float:
        """As the protocol promises."""
        return self.wire.RETENTION_S

    @property
    def inline(self) -> bool:
        """Whether media must travel inside the request."""
        return self.wire.INLINE

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def capabilities(self) -> tuple[Offer, ...]:
        """The offers of this account."""
        return self.offers

    def quote(self, order: Order) -> Quote:
        """The list price of the day."""
        needs: Needs = needs_of(order.request)
        plan = Plan(order.task, order.tier, order.ratio, order.seconds, order.audio, ())
        micros = order.offer.cost(measure_of(plan, needs), days(self.clock()))
        if micros is None:
            raise InvalidRequest(f"No price is known for {order.offer.key} at {order.tier}.", "model")
        return Quote(micros)

    def submit(self, order: Order) -> Submitted:
        """Place a paid order, once."""
        try:
            answer = self._send(self.wire.submit(order))
        except InvalidRequest as error:
            return Rejected(Failure("invalid_input", str(error)))
        except NEVER_SENT as error:
            return Rejected(Failure("capacity", f"not reached: {type(error).__name__}"))
        except httpx.HTTPError as error:
            return Unknown(f"{type(error).__name__}: the answer was lost")
        found = outcome(self.wire, answer)
        if isinstance(found, str):
            return Accepted(self._ticket(found, order))
        if found is None:
            return Unknown(f"HTTP {answer.status} without the provider's own words or without an id")
        return Rejected(found)

    def _ticket(self, job_id: str, order: Order) -> Ticket:
        return Ticket(job_id, order.model_id, order.task, self.clock(), self.region)

    def find(self, order: Order, known: frozenset[str], rivals: int) -> Lookup:
        """Look for the job of a lost submit. `known` are the ids of our other jobs; `rivals` other lost submits."""
        if self.wire.find(order, 1, "") is None:
            return CannotTell("this protocol has no list of jobs", ever=True)
        rows, complete = self._list(order)
        if rows is None:
            return CannotTell("the list could not be read")
        for row in rows:
            if row.reference is not None and row.reference == order.reference:
                return Found(self._ticket(row.id, order))
        rows = [r for r in rows if r.reference is None and r.id not in known]
        rows = [r for r in rows if abs(r.created_at - order.created_at) <= NEAR_S]
        rows.sort(key=lambda r: abs(r.created_at - order.created_at))
        prompts = [(r, r.prompt or (self._prompt_of(r, order) if n < MAX_LOOKS else None)) for n, r in enumerate(rows)]
        same = [row for row, prompt in prompts if prompt == order.request.prompt]
        silent = [row for row, prompt in prompts if prompt is None]
        if len(same) == 1 or (len(same) > 1 and not rivals):
            return Found(self._ticket(same[0].id, order))
        if same:
            return CannotTell(f"{len(same)} jobs with this prompt and {rivals} other lost submits")
        by_time = not hasattr(self.wire, "prompt_of")  # else it tells its prompt in the end: wait for that
        if by_time and len(silent) == 1 and not rivals and complete and _near(silent[0], order):
            return Found(self._ticket(silent[0].id, order))
        if silent:
            return CannotTell(f"{len(silent)} jobs could be it, and {rivals} other submits are lost")
        if not complete:
            return CannotTell("the list does not reach back to the submit")
        if self.clock() - order.created_at < LIST_LAG_S:
            return CannotTell("not listed yet")
        return Absent()

    def _list(self, order: Order) -> tuple[list[Listed] | None, bool]:
        """The listed jobs back to before the submit, and whether the list reached so far. None: it cannot be read.

        A list that ends too early must not be taken for one in which the job is missing: that would pay twice.
        """
        rows: list[Listed] = []
        for page in range(1, MAX_PAGES + 1):
            call = self.wire.find(order, page, rows[-1].id if rows else "")
            if call is None:  # one page is all there is: complete if it reaches back, or if our own id was asked for
                return rows, not rows or rows[0].reference is not None or rows[-1].created_at < order.created_at - 60
            try:
                answer = self._send(call)
            except httpx.HTTPError:
                return None, False
            if not answer.ok:
                return None, False
            found = [row for row in self.wire.listed(answer) if row.id]
            if not found or found[0].id in {row.id for row in rows[:1]}:
                return rows, True
            rows += found
            if min(row.created_at for row in found) < order.created_at - NEAR_S:
                return rows, True
        return rows, False

    def _prompt_of(self, row: Listed, order: Order) -> str | None:
        """The prompt of a listed job where only the job itself tells it."""
        if (read := getattr(self.wire, "prompt_of", None)) is None:
            return None
        try:
            answer = self._send(self.wire.poll(self._ticket(row.id, order)))
        except httpx.HTTPError:
            return None
        return read(answer) if answer.ok else None

    def poll(self, ticket: Ticket) -> Poll | Trouble:
        """Ask once, following up where the protocol needs a second call."""
        call = self.wire.poll(ticket)
        for _ in range(3):
            try:
                answer = self._send(call)
            except httpx.HTTPError as error:
                return Trouble(type(error).__name__)
            found = self.wire.status(answer, call, ticket)
            if isinstance(found, Poll):
                return found
            if found is None:
                return Trouble(f"HTTP {answer.status}", answer.retry_after_s)
            call = found
        return Trouble("the answers refer to each other")

    def pushed(self, body: Mapping[str, Any]) -> str | None:
        """As the protocol spells it."""
        return self.wire.pushed(body)

    def cancel(self, ticket: Ticket) -> CancelOutcome:
        """Best effort."""
        call = self.wire.cancel(ticket)
        if call is None:
            return "impossible"
        try:
            return self.wire.cancelled(self._send(call))
        except httpx.HTTPError:
            return "unknown"

    def fetch(self, ticket: Ticket, source: Source, to: Path) -> int:
        """Copy a result into the new file `to`. Raises MediaFetch."""
        del ticket
        if source.base64:
            try:
                data = base64.b64decode(source.base64, validate=True)
            except (binascii.Error, ValueError):
                raise MediaFetch("The provider's inline result is not base64.") from None
            to.write_bytes(data)
            return len(data)
        url = self._absolute(source.url)
        same_host = urlsplit(url).netloc == urlsplit(self.base).netloc
        if same_host:  # Google's protocol names https addresses even where the server speaks http
            url = urlsplit(url)._replace(scheme=urlsplit(self.base).scheme).geturl()
        if not (self.trusted or same_host):
            return fetch(url, to, RESULTS)
        headers = self._headers if source.ours and same_host else {}
        try:
            return self._download(url, headers, to)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            to.unlink(missing_ok=True)
            raise MediaFetch(f"The result could not be fetched ({type(error).__name__}).") from error

    def _download(self, url: str, headers: Mapping[str, str], to: Path) -> int:
        """One GET from the account's own host; a redirect is followed without our key, guarded unless trusted."""
        for _ in range(2):
            with self._http.stream("GET", url, headers={**_PLAIN, **headers}, timeout=RESULT_S) as answer:
                if answer.is_redirect and answer.headers.get("location"):
                    url, headers = urljoin(url, answer.headers["location"]), {}
                    if not self.trusted:
                        return fetch(url, to, RESULTS)
                    continue
                if answer.status_code != 200:
                    raise MediaFetch(f"The result's address answered {answer.status_code}.")
                return _save(answer, to)
        raise MediaFetch("The result's address redirects more than once.")

    def _absolute(self, url: str) -> str:
        return f"{self.base}{url}" if url.startswith("/") else url

    def _send(self, call: Call) -> Answer:
        """One exchange, read whole up to a cap. Raises httpx.HTTPError."""
        request = self._http.build_request(
            call.method,
            self._absolute(call.path),
            json=call.json,
            params=dict(call.params) or None,
            headers={**self._headers, **call.headers},
        )
        answer = self._http.send(request, stream=True)
        try:
            body = bytearray()
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise httpx.DecodingError("the answer is too large", request=request)
        finally:
            answer.close()
        return read_answer(answer.status_code, answer.headers, bytes(body))


def _near(row: Listed, order: Order) -> bool:
    """Whether a job that says nothing else about itself was made when ours was sent."""
    return abs(row.created_at - order.created_at) <= BY_TIME_S


def _save(answer: httpx.Response, to: Path) -> int:
    size = 0
    try:
        with to.open("xb") as file:
            for chunk in answer.iter_bytes(1 << 16):
                size += len(chunk)
                if size > MAX_RESULT_BYTES:
                    raise MediaFetch(f"The result is larger than {MAX_RESULT_BYTES} bytes.")
                file.write(chunk)
        promised: Any = answer.headers.get("content-length")
        if promised is not None and promised != str(size):
            raise MediaFetch(f"The result came short: {size} of {promised} bytes.")
    except BaseException:
        to.unlink(missing_ok=True)
        raise
    return size
