"""Pushes from providers: addresses that cannot be guessed, and the signatures of those providers that sign.

A push is only a hint: `Dispatch.pushed` learns a lost job's id from it, and every state is asked with our own key.
Signatures (facts: apis 4.3, 10, 11): fal signs with ED25519 and publishes its keys; Replicate and Kling use Standard
Webhooks. What signs nothing is guarded by its address alone: 256 bits that only the provider was told.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from muybridge.errors import AuthFailed

PATH = "/pushes"
TOLERANCE_S = 300.0
KEYS_KEPT_S = 86_400.0  # fal asks receivers to keep its keys for at most a day
FAL_KEYS = "https://rest.fal.ai/.well-known/jwks.json"
STANDARD = frozenset({"replicate", "kling"})  # Standard Webhooks, once the account's secret is known


def token_of(secret: str, attempt_id: str) -> str:
    """What makes an attempt's address unguessable: HMAC-SHA256 by the server's own secret, in hex."""
    return hmac.new(secret.encode(), f"push\n{attempt_id}".encode(), hashlib.sha256).hexdigest()


def address(public_url: str, secret: str, attempt_id: str) -> str:
    """Where a provider tells about an attempt."""
    return f"{public_url.rstrip('/')}{PATH}/{attempt_id}/{token_of(secret, attempt_id)}"


def is_ours(secret: str, attempt_id: str, token: str) -> bool:
    """Whether a token belongs to the attempt."""
    return hmac.compare_digest(token_of(secret, attempt_id).encode(), token.encode())


def secret_of(provider: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """The webhook secret of an account that signs by one: `MUYBRIDGE_REPLICATE_WEBHOOK_SECRET=whsec_...`."""
    return environ.get(f"MUYBRIDGE_{provider.upper()}_WEBHOOK_SECRET")


@dataclass
class Signatures:
    """Checks pushes. Keeps fal's public keys for a day. Safe from any thread: at worst keys are fetched twice."""

    fetch_keys: Callable[[], Sequence[bytes]] = lambda: fal_keys()
    secret: Callable[[str], str | None] = secret_of
    clock: Callable[[], float] = time.time
    _kept: tuple[float, Sequence[bytes]] = field(default=(-1e18, ()))

    def check(self, provider: str, headers: Mapping[str, str], body: bytes) -> None:
        """Pass a push of `provider` (lower-case header names). Raises AuthFailed for a wrong or missing signature."""
        if provider == "fal":
            self._check_fal(headers, body)
        elif provider in STANDARD and (secret := self.secret(provider)):
            _check_standard(secret, headers, body, self.clock())

    def _check_fal(self, headers: Mapping[str, str], body: bytes) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        stem = "x-fal-webhook-"
        request_id, user_id, at, given = (
            headers.get(stem + n, "") for n in ("request-id", "user-id", "timestamp", "signature")
        )
        _check_time(at, self.clock())
        message = "\n".join((request_id, user_id, at, hashlib.sha256(body).hexdigest())).encode()
        try:
            signature = bytes.fromhex(given)
        except ValueError:
            raise AuthFailed("The push's signature is not hex.") from None
        for fresh in (False, True):  # a key that is not known yet may be new
            for key in self._keys(fresh):
                try:
                    Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
                except (InvalidSignature, ValueError):
                    continue
                return
        raise AuthFailed("The push's signature does not fit.")

    def _keys(self, fresh: bool) -> Sequence[bytes]:
        at, keys = self._kept
        age_s = self.clock() - at
        if age_s > KEYS_KEPT_S or (fresh and age_s > 60.0):  # forged pushes must not make us ask again and again
            keys = self.fetch_keys()
            self._kept = (self.clock(), keys)
        return keys


def fal_keys(transport: httpx.BaseTransport | None = None) -> list[bytes]:
    """fal's public keys. Raises AuthFailed when they cannot be read: then nothing is believed."""
    try:
        with httpx.Client(transport=transport, timeout=10.0) as client:
            found = client.get(FAL_KEYS).raise_for_status().json()["keys"]
        return [base64.urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4)) for key in found]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise AuthFailed(f"The keys that sign fal's pushes could not be read ({type(error).__name__}).") from error


def _check_standard(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Standard Webhooks: one of several `v1,BASE64` is the HMAC-SHA256 of `id.timestamp.body`."""
    message_id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    _check_time(at, now)
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise AuthFailed("The webhook secret set up for this account is not base64.") from None
    signed = hmac.new(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256).digest()
    wanted = f"v1,{base64.b64encode(signed).decode()}".encode()
    given = headers.get("webhook-signature", "").split(" ")
    if not any(hmac.compare_digest(wanted, one.encode()) for one in given):
        raise AuthFailed("The push's signature does not fit.")


def _check_time(text: str, now: float) -> None:
    if not (text.isascii() and text.isdigit()) or abs(now - float(text[:12])) > TOLERANCE_S:
        raise AuthFailed("The push's timestamp is missing or more than five minutes off.")


def body_of(raw: bytes) -> Mapping[str, object] | None:
    """The JSON object of a push, or None."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
