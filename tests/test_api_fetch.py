"""Addresses that strangers choose: forty hostile ones refused, and nothing inside the network ever touched."""

from __future__ import annotations

import http.server
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muybridge import fetch as net
from muybridge.errors import MediaFetch, MediaInvalid
from muybridge.fetch import FetchPolicy, check_url, decode_data_url, is_public

PUBLIC = "93.184.215.14"

HOSTILE = [
    # schemes and shapes
    "http://example.com/a.png",
    "ftp://example.com/a.png",
    "file:///etc/passwd",
    "gopher://example.com/_",
    "javascript:alert(1)",
    "//example.com/a.png",
    "https:///a.png",
    "https://",
    "",
    "not a url",
    "https://exa mple.com/",
    "https://example.com/\r\nX-Injected: 1",
    "https://example.com\\@127.0.0.1/",
    "https://user:password@example.com/",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1%00.example.com/",
    "https://example.com:99999/",
    "https://example.com:22/",
    "https://example.com:6379/",
    "https://bücher.example/",
    "https://" + "a" * 5000 + ".example/",
    # loopback, in every spelling that resolvers know
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://localhost/",
    "https://localhost./",
    "https://0/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    # private, link-local, metadata, shared, translated
    "https://10.0.0.1/",
    "https://172.16.5.4/",
    "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/",
    "https://[fd00::1]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://192.0.2.1/",
    "https://198.18.0.1/",
]


@pytest.fixture
def no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection attempt is a failed test: refusal must come before the network."""

    def refuse(*_: object, **__: object) -> socket.socket:
        raise AssertionError("a hostile address was connected to")

    monkeypatch.setattr(socket, "create_connection", refuse)


def test_there_are_forty() -> None:
    assert len(set(HOSTILE)) >= 40


@pytest.mark.usefixtures("no_connections")
@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_urls_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(MediaFetch) as caught:
        net.fetch(url, tmp_path / "x", FetchPolicy())
    assert not list(tmp_path.iterdir())
    assert "127.0.0.1" not in str(caught.value) or "127.0.0.1" in url  # what a name resolved to is not told


def policy(resolve: Callable[[str, int], list[str]], **more: object) -> FetchPolicy:
    return FetchPolicy(resolve=resolve, **more)  # type: ignore[arg-type]


@pytest.mark.usefixtures("no_connections")
@pytest.mark.parametrize("bad", ["127.0.0.1", "10.1.2.3", "::1", "fd00::5", "169.254.169.254", "100.127.255.255"])
def test_one_private_address_among_public_ones_is_enough(bad: str) -> None:
    with pytest.raises(MediaFetch, match="not on the public internet"):
        check_url("https://example.com/", policy(lambda *_: [PUBLIC, bad]))


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """DNS rebinding: the second answer would be loopback; there must be no second question."""
    asked: list[str] = []
    dialled: list[tuple[str, int]] = []

    def resolve(host: str, _: int) -> list[str]:
        asked.append(host)
        return [PUBLIC] if len(asked) == 1 else ["127.0.0.1"]

    def dial(address: tuple[str, int], *_: object, **__: object) -> socket.socket:
        dialled.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", dial)
    with pytest.raises(MediaFetch, match="failed"):
        net.fetch("https://rebind.example/x", tmp_path / "x", policy(resolve))
    assert asked == ["rebind.example"]
    assert dialled == [(PUBLIC, 443)]


def test_domains_can_be_allow_listed() -> None:
    ours = policy(lambda *_: [PUBLIC], domains=("example.com",))
    assert check_url("https://cdn.example.com/x", ours).address == PUBLIC
    for url in ("https://notexample.com/x", "https://example.com.evil.net/x"):
        with pytest.raises(MediaFetch, match="allowed domains"):
            check_url(url, ours)


@given(st.ip_addresses())
def test_nothing_private_is_public(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if is_public(str(ip)):
        assert ip.is_global and not ip.is_private and not ip.is_loopback and not ip.is_multicast
        assert getattr(ip, "ipv4_mapped", None) is None and getattr(ip, "sixtofour", None) is None


@given(st.ip_addresses(v=4, network="10.0.0.0/8") | st.ip_addresses(v=4, network="127.0.0.0/8"))
def test_private_ipv4_stays_private_inside_ipv6(ip: ipaddress.IPv4Address) -> None:
    for prefix in ("::ffff:", "::", "64:ff9b::"):
        assert not is_public(f"{prefix}{ip}")


# A server that we allow by name, as an operator could, and that then misbehaves.


class _Host(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind = self.path.strip("/").partition("?")[0]
        if kind.startswith("redirect"):
            count = int(kind.removeprefix("redirect"))
            self._redirect(f"/redirect{count - 1}" if count > 1 else "/ok")
        elif kind == "inside":
            self._redirect("https://169.254.169.254/latest/meta-data/")
        elif kind == "downgrade":
            self._redirect("file:///etc/passwd")
        elif kind == "gzip":
            self._send(b"x" * 10, {"Content-Encoding": "gzip"})
        elif kind == "endless":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b"0" * 65536)
        elif kind == "drip":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b".")
                self.wfile.flush()
                time.sleep(0.1)
        elif kind == "short":
            self._send(b"only this", {"Content-Length": "5000"})
        elif kind == "login":
            self._send(b"no", {}, 401)
        else:
            self._send(b"fine", {})

    def _redirect(self, to: str) -> None:
        self.send_response(302)
        self.send_header("Location", to)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, body: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the parent's signature)
        """Silence."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are the point of these tests."""


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    server = _Server(("127.0.0.1", 0), _Host)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_allowed_host_works(host: str, tmp_path: Path) -> None:
    assert net.fetch(f"http://{host}/ok", tmp_path / "x", FetchPolicy(allowed_hosts=frozenset({host}))) == 4
    assert (tmp_path / "x").read_bytes() == b"fine"


def test_three_redirects_and_no_more(host: str, tmp_path: Path) -> None:
    allowed = FetchPolicy(allowed_hosts=frozenset({host}))
    assert net.fetch(f"http://{host}/redirect3", tmp_path / "x", allowed) == 4
    with pytest.raises(MediaFetch, match="More than 3 redirects"):
        net.fetch(f"http://{host}/redirect4", tmp_path / "y", allowed)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("inside", "not on the public internet"),
        ("downgrade", "must start with https"),
        ("gzip", "compressed"),
        ("endless", "larger than 200000 bytes"),
        ("drip", "took longer than 1 s"),
        ("short", "early|failed"),
        ("login", "401"),
    ],
)
def test_an_allowed_host_may_still_misbehave(host: str, path: str, why: str, tmp_path: Path) -> None:
    limits = FetchPolicy(200_000, 1.0, allowed_hosts=frozenset({host}))
    started = time.monotonic()
    with pytest.raises(MediaFetch, match=why):
        net.fetch(f"http://{host}/{path}", tmp_path / "x", limits)
    assert time.monotonic() - started < 5
    assert not (tmp_path / "x").exists()


def test_no_proxy_from_the_environment(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert net.fetch(f"http://{host}/ok", tmp_path / "x", FetchPolicy(allowed_hosts=frozenset({host}))) == 4


@pytest.mark.parametrize(
    "url",
    ["data:", "data:image/png;base64", "data:image/png;base64,", "data:image/png;base64,???", "data:,", "x,y" * 99],
)
def test_bad_data_urls(url: str) -> None:
    with pytest.raises(MediaInvalid):
        decode_data_url(url, 1000) if url != "x,y" * 99 else decode_data_url("d" * 300 + ",x", 1000)


def test_data_urls_decode_within_the_cap() -> None:
    assert decode_data_url("data:text/plain;base64,aGk=", 2) == b"hi"
    assert decode_data_url("data:text/plain,hi%20", 10) == b"hi "
    with pytest.raises(MediaInvalid, match="at most 2 are"):
        decode_data_url("data:text/plain;base64,aGkh", 2)
    with pytest.raises(MediaInvalid, match="more than 100 bytes"):
        decode_data_url("data:text/plain;base64," + "A" * 100_000, 100)
