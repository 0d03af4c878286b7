"""One job id, spelled as each protocol spells ids. A ULID is 128 bits; so are a UUID and 32 hex digits: no table."""

from __future__ import annotations

import re
import uuid

from muybridge.errors import NotFound

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUE = {c: i for i, c in enumerate(_CROCKFORD)}
_ULID = re.compile(r"(?:cgt-)?([0-7][0-9A-HJKMNP-TV-Z]{25})\Z", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z", re.IGNORECASE)
_HEX = re.compile(r"(?:video|job|file)[_-]([0-9a-f]{32})\Z")

UUID_PROTOCOLS = frozenset({"dashscope", "fal", "runway", "xai"})


def public_id(job_id: str, protocol: str) -> str:
    """How `protocol` shows the job with ULID `job_id`.

    native, openai: `video_<32 hex>`; dashscope, fal, runway, xai: a UUID; ark: `cgt-<ulid>`; replicate, veo: lower-case
    letters and digits (both protocols' clients insist on that).
    """
    if protocol in ("native", "openai"):
        return f"video_{_number(job_id):032x}"
    if protocol in UUID_PROTOCOLS:
        return str(uuid.UUID(int=_number(job_id)))
    return f"cgt-{job_id.lower()}" if protocol == "ark" else job_id.lower()


def job_id(public: str, protocol: str) -> str:  # noqa: ARG001  (any spelling is read anywhere: one job, many faces)
    """The ULID behind a public id, whichever protocol made it. Raises NotFound when it cannot be an id at all."""
    if match := _HEX.match(public):
        return ulid(int(match.group(1), 16))
    if _UUID.match(public):
        return ulid(uuid.UUID(public).int)
    if match := _ULID.match(public):
        return match.group(1).upper()
    raise NotFound(f"There is no job {public[:80]!r}.")


def is_uuid(text: str) -> bool:
    """Whether `text` has the shape of a UUID (how xAI ids differ from OpenAI ids under the same path)."""
    return _UUID.match(text) is not None


def _number(ulid: str) -> int:
    value = 0
    for char in ulid:
        value = value * 32 + _VALUE[char]
    return value


def ulid(number: int) -> str:
    """128 bits as the 26 characters of a ULID."""
    chars = []
    for _ in range(26):
        number, digit = divmod(number, 32)
        chars.append(_CROCKFORD[digit])
    return "".join(reversed(chars))
