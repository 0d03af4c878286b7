"""fal's webhooks: body, ED25519 signature over it, and the JWKS that receivers check it with (facts: apis 4.3)."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

from muybridge.api.fal_bodies import webhook_body

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from muybridge.api.service import Service
    from muybridge.jobs.job import Delivery, Job


def signing_key(service: Service) -> Ed25519PrivateKey:
    """The private key that all processes on one database share; made at first use."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # late: not needed to start serving

    from muybridge.api.service import shared_setting

    made = lambda: Ed25519PrivateKey.generate().private_bytes_raw().hex()  # noqa: E731  (one expression, used once)
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(shared_setting(service.store, "fal_webhook_key", made)))


def jwks(service: Service) -> dict[str, Any]:
    """The public key as a JSON Web Key Set (RFC 8037)."""
    raw = signing_key(service).public_key().public_bytes_raw()
    x = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}


def headers(key: Ed25519PrivateKey, request_id: str, user_id: str, at: int, body: bytes) -> dict[str, str]:
    """The four headers; signed are request id, user id, time and the hex SHA-256 of the body, one a line."""
    message = "\n".join((request_id, user_id, str(at), hashlib.sha256(body).hexdigest()))
    return {
        "X-Fal-Webhook-Request-Id": request_id,
        "X-Fal-Webhook-User-Id": user_id,
        "X-Fal-Webhook-Timestamp": str(at),
        "X-Fal-Webhook-Signature": key.sign(message.encode()).hex(),
    }


def webhook(service: Service, job: Job, delivery: Delivery) -> tuple[bytes, dict[str, str]]:
    """Body and headers of one delivery."""
    request_id = service.public_id(job, "fal")
    url = service.media_url(job, "video", str(delivery.webhook.get("base") or "") or None) if job.artifacts else None
    body = json.dumps(webhook_body(job, request_id, url)).encode()
    signed = headers(signing_key(service), request_id, job.tenant, int(time.time()), body)
    return body, {"content-type": "application/json", **signed}
