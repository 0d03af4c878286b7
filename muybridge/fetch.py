"""HTTP to addresses that strangers choose (media URLs, webhooks), without letting them choose our own network.

The rules (OWASP API7): https only; the name is resolved once and ALL its addresses must be public; the connection
goes to the checked address with the name kept for SNI and Host, so a second DNS answer cannot redirect it; no proxies
from the environment; ports by allow-list; at most three redirects, each checked like the first; caps on bytes and on
the total time.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from muybridge.errors import MediaFetch, MediaInvalid

MAX_URL_CHARS = 4096
MAX_REDIRECTS = 3
CHUNK_BYTES = 64 * 1024
USER_AGENT = "muybridge/0.1"

# Not public although some `ipaddress` versions call parts of them global: translation prefixes carry any IPv4 address.
_BLOCKED = tuple(
    ipaddress.ip_network(n)
    for n in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
        "::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32",
        "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
_UNSAFE = re.compile(r"[^\x21-\x7e]|\\")  # spaces, controls, non-ASCII and backslashes: parsers disagree about them

Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True)
class FetchPolicy:
    """Which addresses may be reached, and how much may come back."""

    max_bytes: int = 100 * 1024 * 1024
    timeout_s: float = 60.0  # for everything together, redirects included
    ports: frozenset[int] = frozenset({443})
    allowed_hosts: frozenset[str] = frozenset()  # "host:port": may be http, private, any port (the operator's word)
    domains: tuple[str, ...] = ()  # when given, only these names and their subdomains
    connect_timeout_s: float = 10.0
    resolve: Resolve = field(default=lambda host, port: resolve(host, port), repr=False)


@dataclass(frozen=True)
class Target:
    """A URL that passed the rules, with the address to connect to."""

    url: str
    scheme: str
    host: str
    port: int
    path: str
    address: str


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet: not private, loopback, link-local, CGNAT, multicast ..."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return ip.is_global and not any(ip in network for network in _BLOCKED if network.version == ip.version)


def resolve(host: str, port: int) -> list[str]:
    """Every address of a name, as the system resolver gives them. Raises MediaFetch."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise MediaFetch(f"The host {host[:100]!r} could not be resolved. Check the URL.") from error
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def check_url(url: str, policy: FetchPolicy) -> Target:
    """The rules applied to one URL. Raises MediaFetch that says which rule; never says which address was found."""
    if len(url) > MAX_URL_CHARS:
        raise MediaFetch(f"The URL has {len(url)} characters; at most {MAX_URL_CHARS} are accepted.")
    if _UNSAFE.search(url):
        raise MediaFetch(
            "The URL holds spaces, control characters, backslashes or non-ASCII letters; percent-encode it."
        )
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise MediaFetch(f"The URL is malformed: {error}.") from None
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise MediaFetch("The URL carries a user name or password; give a plain or pre-signed https URL.")
    if parts.scheme not in ("http", "https") or not host:
        raise MediaFetch(f"The URL must start with https://; this one starts with {url[:12]!r}.")
    port = port if port is not None else {"http": 80, "https": 443}[parts.scheme]
    trusted = f"{host}:{port}" in policy.allowed_hosts
    if not trusted:
        _check_untrusted(parts.scheme, host, port, policy)
    addresses = policy.resolve(host, port)
    if not addresses or not (trusted or all(is_public(a) for a in addresses)):
        raise MediaFetch(f"The host {host!r} is not on the public internet; give a public one, or upload the file.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(url, parts.scheme, host, port, path, addresses[0])


def _check_untrusted(scheme: str, host: str, port: int, policy: FetchPolicy) -> None:
    if scheme != "https":
        raise MediaFetch("Only https URLs are fetched; this one is http.")
    if port not in policy.ports:
        raise MediaFetch(f"Port {port} is not fetched from; use {', '.join(str(p) for p in sorted(policy.ports))}.")
    if policy.domains and not any(host == d or host.endswith("." + d) for d in policy.domains):
        raise MediaFetch(f"The host {host!r} is not on this server's list of allowed domains.")


class _Connection(http.client.HTTPConnection):
    """A connection to the checked address; the name goes only into SNI, certificate check and Host."""

    def __init__(self, target: Target, timeout_s: float) -> None:
        super().__init__(target.host, target.port, timeout=timeout_s)
        self.target = target
        self.default_port = 443 if target.scheme == "https" else 80

    def connect(self) -> None:
        self.sock = socket.create_connection((self.target.address, self.target.port), self.timeout)
        if self.target.scheme == "https":
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.target.host)


@contextmanager
def exchange(
    target: Target,
    method: str,
    policy: FetchPolicy,
    deadline: float,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator[http.client.HTTPResponse]:
    """One request to a checked target. A watchdog cuts the socket at `deadline` (monotonic): dripping does not help.

    Raises MediaFetch for anything that goes wrong on the wire.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise MediaFetch(f"{target.host} took longer than {policy.timeout_s:g} s.")
    connection = _Connection(target, min(left, policy.connect_timeout_s))

    def cut() -> None:
        with suppress(OSError, AttributeError):  # already closed
            connection.sock.shutdown(socket.SHUT_RDWR)

    watchdog = threading.Timer(left, cut)
    watchdog.daemon = True
    watchdog.start()
    try:
        sent = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
        connection.request(method, target.path, body=body, headers={**sent, **(headers or {})})
        yield connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        late = time.monotonic() >= deadline
        why = f"took longer than {policy.timeout_s:g} s" if late else f"failed ({type(error).__name__})"
        raise MediaFetch(f"Fetching from {target.host} {why}.") from error
    finally:
        watchdog.cancel()
        connection.close()


def fetch(url: str, to: Path, policy: FetchPolicy) -> int:
    """Download `url` into the new file `to`; returns its size. Raises MediaFetch; nothing is left behind on failure."""
    deadline = time.monotonic() + policy.timeout_s
    for _ in range(MAX_REDIRECTS + 1):
        target = check_url(url, policy)
        with exchange(target, "GET", policy, deadline) as answer:
            location = answer.getheader("Location")
            if answer.status in (301, 302, 303, 307, 308) and location:
                url = urljoin(url, location)
                continue
            if answer.status != 200:
                raise MediaFetch(f"{target.host} answered {answer.status}; the file must be readable without a login.")
            if answer.getheader("Content-Encoding", "identity").lower() != "identity":
                raise MediaFetch(f"{target.host} sent a compressed stream although none was asked for.")
            return _save(answer, to, target.host, policy, deadline)
    raise MediaFetch(f"More than {MAX_REDIRECTS} redirects; give the final URL.")


def _save(answer: http.client.HTTPResponse, to: Path, host: str, policy: FetchPolicy, deadline: float) -> int:
    size = 0
    try:
        with to.open("xb") as file:
            while chunk := answer.read1(CHUNK_BYTES):
                size += len(chunk)
                if size > policy.max_bytes:
                    raise MediaFetch(f"The file at {host} is larger than {policy.max_bytes} bytes.")
                if time.monotonic() > deadline:
                    raise MediaFetch(f"{host} took longer than {policy.timeout_s:g} s.")
                file.write(chunk)
        if answer.length:  # fewer bytes came than Content-Length promised
            raise MediaFetch(f"{host} closed the connection {answer.length} bytes early; try again.")
    except BaseException:
        to.unlink(missing_ok=True)
        raise
    return size


def decode_data_url(url: str, max_bytes: int) -> bytes:
    """The bytes of a `data:` URL. Its declared type is not believed; bytes are sniffed later. Raises MediaInvalid."""
    head, comma, data = url.partition(",")
    if not comma or len(head) > 200:
        raise MediaInvalid("The data URL is malformed; write data:image/png;base64,...")
    if len(data) > max_bytes * 4 / 3 * 1.02 + 1024:
        raise MediaInvalid(f"The data URL holds more than {max_bytes} bytes; upload the file instead.")
    try:
        raw = base64.b64decode(data, validate=True) if head.endswith(";base64") else unquote_to_bytes(data)
    except (binascii.Error, ValueError):
        raise MediaInvalid("The data URL is not valid base64.") from None
    if not raw:
        raise MediaInvalid("The data URL is empty.")
    if len(raw) > max_bytes:
        raise MediaInvalid(f"The data URL holds {len(raw)} bytes; at most {max_bytes} are accepted.")
    return raw
