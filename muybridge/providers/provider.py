"""The provider protocol: what every source of clips, our own engine among them, answers to.

Synchronous and without sleeping: a call goes out, an answer comes back, the caller decides when to ask again. So one
thread can drive thousands of jobs on a clock of its own (`attempts`), and tests drive them on a simulated one.

The results of `submit` are typed, because money hangs on them:

    Accepted   the provider has the job and named it; only this provider is asked about it from now on
    Rejected   the provider said no in its own words, or was never reached: nothing was billed, another may be tried
    Unknown    the answer was lost, or cannot be understood: there may be a paid job; nobody else is asked until it
               has been found or given up (`find`)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from muybridge.providers.catalog import Offer
from muybridge.request import Request

ErrorClass = Literal[
    "invalid_input",
    "auth",
    "permission",
    "quota",
    "rate",
    "capacity",
    "moderation_input",
    "moderation_output",
    "media_fetch",
    "media_invalid",
    "timeout",
    "internal",
    "model_retired",
]
RemoteState = Literal["queued", "throttled", "running", "succeeded", "failed", "cancelled", "gone"]
CancelOutcome = Literal["cancelled", "requested", "too_late", "impossible", "unknown"]
Unit = Literal["seconds", "tokens", "usd", "credits", "ticks", "units"]


@dataclass(frozen=True)
class Inputs:
    """Media of an order as addresses that the provider can read: https or data URLs."""

    image: str | None = None
    last_image: str | None = None
    references: tuple[str, ...] = ()
    video: str | None = None
    audio: str | None = None


@dataclass(frozen=True)
class Order:
    """One request as one provider is asked for it: fitted to the offer, with every change already made.

    `reference` is our attempt's id, sent wherever the protocol has a place for it. `seconds` and `tier` are what the
    provider renders; they may exceed what the caller gets.
    """

    reference: str
    offer: Offer
    request: Request
    task: str
    tier: str
    ratio: str
    seconds: float
    audio: bool
    inputs: Inputs = Inputs()
    callback_url: str | None = None
    created_at: float = 0.0  # unix seconds, of the attempt

    @property
    def model_id(self) -> str:
        """What the provider calls this model for this task."""
        return self.offer.id_of(self.task)


@dataclass(frozen=True)
class Ticket:
    """How to ask for an accepted job again. Plain data: it is stored with the attempt and survives a crash."""

    id: str
    model_id: str
    task: str
    accepted_at: float
    region: str = ""


@dataclass(frozen=True)
class Failure:
    """Why a provider did not deliver, in our classes and in its words. The words never reach end users."""

    kind: ErrorClass
    message: str
    code: str = ""
    http: int | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Accepted:
    """The provider has the job."""

    ticket: Ticket


@dataclass(frozen=True)
class Rejected:
    """There is no job and no bill."""

    failure: Failure


@dataclass(frozen=True)
class Unknown:
    """There may be a job and a bill."""

    why: str


Submitted = Accepted | Rejected | Unknown


@dataclass(frozen=True)
class Usage:
    """What the provider says it counted, in its own unit; absent where it says nothing."""

    unit: Unit
    amount: float


@dataclass(frozen=True)
class Source:
    """Where one result lies: an address, or the bytes themselves in base64. `ours`: needs our key with the provider."""

    url: str = ""
    base64: str = ""
    ours: bool = False


@dataclass(frozen=True)
class Poll:
    """What the provider says about a job. `progress` is 0..100 or None."""

    state: RemoteState
    progress: float | None = None
    queue_position: int | None = None
    results: tuple[Source, ...] = ()
    usage: Usage | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Trouble:
    """The provider could not be asked. Says nothing about the job: ask again."""

    why: str
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Found:
    """The lost submit did create this job."""

    ticket: Ticket


@dataclass(frozen=True)
class Absent:
    """The provider lists its jobs and this one is not there: the submit never arrived."""


@dataclass(frozen=True)
class CannotTell:
    """The provider cannot list jobs (or not now): a push, its invoice or the operator must tell."""

    why: str
    ever: bool = False  # True: the protocol has no way at all


Lookup = Found | Absent | CannotTell


@dataclass(frozen=True)
class Quote:
    """What an order will cost us, in millionths of a US dollar, and how long it takes (None: not known)."""

    micros: int
    seconds: float | None = None
    detail: Mapping[str, float] = field(default_factory=dict)


class Provider(Protocol):
    """One account with one source of clips. Methods raise MediaFetch from `fetch` only; all else is in the results."""

    @property
    def name(self) -> str:
        """As in the catalogue."""
        ...

    @property
    def poll_s(self) -> float:
        """The shortest pause between two polls that the provider allows."""
        ...

    @property
    def retention_s(self) -> float:
        """How long after acceptance a job can still be asked for; a job not found before then is only missing."""
        ...

    def capabilities(self) -> tuple[Offer, ...]:
        """The offers of the catalogue that this account can use."""
        ...

    def quote(self, order: Order) -> Quote:
        """The cost of an order before it is placed."""
        ...

    def submit(self, order: Order) -> Submitted:
        """Place a paid order, once. The caller has written down that it is about to."""
        ...

    def find(self, order: Order, known: frozenset[str], rivals: int) -> Lookup:
        """Look for the job of a submit whose answer was lost. Never creates one.

        `known` are the provider's ids of our other jobs; `rivals` counts other lost submits in the same lane.
        """
        ...

    def poll(self, ticket: Ticket) -> Poll | Trouble:
        """Ask once. Trouble is not a failure of the job."""
        ...

    def pushed(self, body: Mapping[str, Any]) -> str | None:
        """The provider's id of the job that a completion push is about."""
        ...

    def cancel(self, ticket: Ticket) -> CancelOutcome:
        """Best effort: a job that still succeeds stays billed."""
        ...

    def fetch(self, ticket: Ticket, source: Source, to: Path) -> int:
        """Copy one result into the new file `to`; its size. Raises MediaFetch, and then leaves nothing behind."""
        ...
