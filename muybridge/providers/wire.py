"""What a remote file says about its protocol: calls out, meanings of answers in. Pure data; `client` does the talking.

Each remote (`dashscope`, `fal`, ...) is a module that satisfies `Wire` with plain functions. The rule that decides
whether a submit may have cost money is here, once, for all of them (`outcome`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from muybridge.errors import InvalidRequest
from muybridge.providers.provider import CancelOutcome, ErrorClass, Failure, Order, Poll, Ticket

HOUR_S, DAY_S = 3600.0, 86_400.0


@dataclass(frozen=True)
class Call:
    """One HTTP request. `path` is under the account's base URL, or a whole URL on the same host."""

    method: str
    path: str
    json: Any = None
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, read whole. `json` is None when the body is not JSON; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any = None

    @property
    def ok(self) -> bool:
        """2xx."""
        return 200 <= self.status < 300

    @property
    def object(self) -> dict[str, Any]:
        """The JSON object, or an empty one."""
        return self.json if isinstance(self.json, dict) else {}

    @property
    def retry_after_s(self) -> float | None:
        """Seconds that the provider asks us to wait."""
        for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
            try:
                return max(float(self.headers[name]) * scale, 0.0)
            except (KeyError, ValueError):
                continue
        return None


def read_answer(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """An answer with its JSON, if it is JSON."""
    try:
        value = json.loads(body) if body else None
    except ValueError:
        value = None
    return Answer(status, {k.lower(): v for k, v in headers.items()}, body, value)


@dataclass(frozen=True)
class Listed:
    """One job out of a provider's list. `reference` and `prompt` only where the list carries them."""

    id: str
    created_at: float
    reference: str | None = None
    prompt: str | None = None


class Wire(Protocol):
    """A protocol as functions. A module is one."""

    POLL_S: float  # the shortest pause between two polls
    RETENTION_S: float  # how long a job can be asked for
    INLINE: bool  # media must travel inside the body, not as addresses

    def base(self, region: str) -> str:
        """The API's root, without a slash at the end."""
        ...

    def headers(self, key: str) -> dict[str, str]:
        """Authentication."""
        ...

    def submit(self, order: Order) -> Call:
        """The paid call. Raises InvalidRequest for what the protocol has no words for."""
        ...

    def ticket_id(self, answer: Answer) -> str | None:
        """The job's id in a 2xx answer to `submit`; None when there is none."""
        ...

    def failure(self, answer: Answer) -> Failure | None:
        """The error in an answer, in the provider's own shape; None: these are not its words."""
        ...

    def poll(self, ticket: Ticket) -> Call:
        """How to ask for a job."""
        ...

    def status(self, answer: Answer, call: Call, ticket: Ticket) -> Poll | Call | None:
        """What an answer to `poll` says. A Call: ask this too (its answer comes here again). None: not understood."""
        ...

    def cancel(self, ticket: Ticket) -> Call | None:
        """How to cancel; None where there is no way."""
        ...

    def cancelled(self, answer: Answer) -> CancelOutcome:
        """What an answer to `cancel` says."""
        ...

    def find(self, order: Order, page: int, after: str) -> Call | None:
        """A page (from 1) of a list in which a lost submit's job would be; `after` is the last id of the page before.

        None: there is no list, or no further page can be asked for.
        """
        ...

    def listed(self, answer: Answer) -> list[Listed]:
        """The jobs in that list."""
        ...

    def pushed(self, body: Mapping[str, Any]) -> str | None:
        """The job's id in a completion push; it is only a hint to poll."""
        ...


CLASS_OF_HTTP: dict[int, ErrorClass] = {
    400: "invalid_input",
    401: "auth",
    402: "quota",
    403: "permission",
    404: "model_retired",
    408: "timeout",
    410: "model_retired",
    413: "invalid_input",
    422: "invalid_input",
    429: "rate",
    503: "capacity",
    504: "timeout",
}


def class_of(status: int) -> ErrorClass:
    """The error class of a status code where no better is known."""
    return CLASS_OF_HTTP.get(status, "internal" if status >= 500 else "invalid_input")


def outcome(wire: Wire, answer: Answer) -> str | Failure | None:
    """What an answer to a submit means: the job's id, a refusal, or None (unknown: there may be a job).

    Every provider puts the id only into a 2xx. So a 4xx, or a 500 or 503 in the provider's own words, means no job.
    502 and 504, a gateway's page, a redirect, or a 2xx without an id say nothing.
    """
    if answer.ok:
        found = wire.ticket_id(answer)
        return found if found else wire.failure(answer)
    if 400 <= answer.status < 500:
        return wire.failure(answer) or Failure(class_of(answer.status), "refused", http=answer.status)
    if answer.status in (500, 503):
        return wire.failure(answer)
    return None


def text(value: Any, name: str) -> str:  # noqa: ANN401  (a field of untrusted JSON)
    """A string field of an object, else the empty string."""
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else ""


def number(value: Any, name: str) -> float | None:  # noqa: ANN401
    """A number field of an object (also as text), else None."""
    found = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    try:
        return float(found)
    except ValueError:
        return None


def items(value: Any, name: str) -> list[Any]:  # noqa: ANN401
    """A list field of an object, else an empty list."""
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, list) else []


def inside(value: Any, *names: str) -> Any:  # noqa: ANN401
    """The value at a path of names, or None."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def error_object(answer: Answer, names: Mapping[str, ErrorClass]) -> Failure | None:
    """An OpenAI-shaped error, `{"error": {"code", "type", "message"}}`; `names` are codes or types with their class."""
    error = answer.object.get("error")
    if not isinstance(error, Mapping):
        return None
    code, kind = str(error.get("code") or ""), text(error, "type")
    found = names.get(code) or names.get(kind) or class_of(answer.status)
    return Failure(found, text(error, "message"), code or kind, answer.status, answer.retry_after_s)


def data_parts(url: str) -> tuple[str, str]:
    """(type, base64) of a data URL. Raises InvalidRequest for any other."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:"):
        raise InvalidRequest("This provider takes media only inside the request; the file has no data URL.")
    return head[5:].partition(";")[0], data


def whole(seconds: float) -> int:
    """A length as the whole number that most protocols want."""
    return round(seconds)
