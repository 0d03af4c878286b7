"""The operator's own moderation: a function or an HTTP endpoint that is asked before a job is queued. Off by default.

`[moderation]` in the server's config:

    url = "https://moderation.internal/check"   # or: callable = "module:function"
    timeout_s = 5.0
    on_failure = "refuse"                       # or "accept": what happens when it cannot be asked
    send_media = false                          # pictures, clips and sounds inside the question, in base64

An endpoint gets a POST of `question(...)` and answers 200 with `{"allowed": true}`, or `{"allowed": false, "reason"}`.
A callable gets the same dict and returns the same answer. The address is the operator's word: no address rules apply.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import logging
import mimetypes
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import httpx

from muybridge.errors import ModerationRefused, Unavailable, UserError
from muybridge.request import Request

if TYPE_CHECKING:
    from muybridge.api.keys import Key

log = logging.getLogger("muybridge.moderation")
Ask = Callable[[dict[str, Any]], Any]
MAX_ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True)
class Moderation:
    """What the operator set up."""

    url: str | None = None
    callable: str | None = None  # "module:function"
    timeout_s: float = 5.0
    on_failure: Literal["refuse", "accept"] = "refuse"
    send_media: bool = False


def read(table: Mapping[str, Any]) -> Moderation:
    """The table of a config file. Raises UserError that names what is not understood."""
    if unknown := set(table) - {f.name for f in fields(Moderation)}:
        raise UserError(f"[moderation] has the unknown setting {sorted(unknown)[0]!r}.")
    found = Moderation(**table)
    if (found.url is None) == (found.callable is None):
        raise UserError('[moderation] needs url = "https://..." or callable = "module:function", one of them.')
    if found.on_failure not in ("refuse", "accept"):
        raise UserError(f'[moderation] on_failure is {found.on_failure!r}; choose "refuse" or "accept".')
    if isinstance(found.timeout_s, bool) or not isinstance(found.timeout_s, int | float) or not found.timeout_s > 0:
        raise UserError(f"[moderation] timeout_s is {found.timeout_s!r}; give seconds above 0.")
    return found


def check_of(setup: Moderation, transport: httpx.BaseTransport | None = None) -> Callable[[Key, Request], None]:
    """The check that `Service.submit` makes. Raises UserError now when the callable does not exist.

    The check raises ModerationRefused, or Unavailable when nobody could be asked and `on_failure` is "refuse".
    """
    ask = (
        _endpoint(setup, transport) if setup.url is not None else _limited(_load(str(setup.callable)), setup.timeout_s)
    )

    def check(key: Key, request: Request) -> None:
        try:
            answer = ask(question(request, key.tenant, key.id, setup.send_media))
            allowed = answer["allowed"]
            if not isinstance(allowed, bool):
                raise TypeError(f"allowed is {type(allowed).__name__}")
        except Exception as error:  # whatever the operator's code does: the setting decides
            log.error("moderation could not be asked: %s: %s", type(error).__name__, str(error)[:200])
            if setup.on_failure == "accept":
                return
            raise Unavailable(
                "The moderation of this server cannot be asked now; nothing was queued. Try again."
            ) from error
        if not allowed:
            reason = str(answer.get("reason") or "The policy of this server refuses this prompt or its media.")
            raise ModerationRefused(reason[:500])

    return check


def question(request: Request, tenant: str, key_id: str, send_media: bool) -> dict[str, Any]:
    """What is asked: who, every word of the request, and every medium with its role, type, size and SHA-256."""
    words = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "dialogue": [line.text for line in request.dialogue],
        "beats": [beat.text for beat in request.beats],
    }
    slots = [(name, getattr(request, name)) for name in ("image", "last_image", "video", "audio")]
    slots += [(f"references[{i}]", reference.image) for i, reference in enumerate(request.references)]
    media = [_medium(role, Path(path), send_media) for role, path in slots if path is not None]
    return {"tenant": tenant, "key": key_id, "task": str(request.task), **words, "media": media}


def _medium(role: str, path: Path, whole: bool) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    about = {"role": role, "mime": mime, "bytes": path.stat().st_size, "sha256": digest}
    return about | ({"data": base64.b64encode(path.read_bytes()).decode()} if whole else {})


def _endpoint(setup: Moderation, transport: httpx.BaseTransport | None) -> Ask:
    client = httpx.Client(transport=transport, timeout=setup.timeout_s, follow_redirects=False, trust_env=False)

    def ask(asked: dict[str, Any]) -> Any:  # noqa: ANN401  (untrusted JSON)
        with client.stream("POST", str(setup.url), json=asked) as answer:
            if answer.status_code != 200:
                raise ValueError(f"HTTP {answer.status_code}")
            body = bytearray()
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    raise ValueError("the answer is too large")
        return json.loads(body)

    return _limited(ask, setup.timeout_s)  # httpx limits each read, not the whole


def _load(name: str) -> Ask:
    module, _, attribute = name.partition(":")
    try:
        return cast(Ask, getattr(importlib.import_module(module), attribute))
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"Cannot load the moderation {name!r} ({error}); name it as module:function.") from error


def _limited(ask: Ask, timeout_s: float) -> Ask:
    """`ask` in a thread of its own, given up after `timeout_s`. A thread that hangs is left behind, not waited for."""

    def limited(asked: dict[str, Any]) -> Any:  # noqa: ANN401
        done: Future[Any] = Future()

        def run() -> None:
            try:
                done.set_result(ask(asked))
            except BaseException as error:  # handed to whoever waits
                done.set_exception(error)

        threading.Thread(target=run, name="moderation", daemon=True).start()
        return done.result(timeout_s)

    return limited
