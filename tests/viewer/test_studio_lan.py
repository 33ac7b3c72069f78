"""The studio on a network: HTTPS by a certificate of its own, links that open once, cookies that stay secret."""

from __future__ import annotations

import contextlib
import datetime
import re
import socket
import ssl
import threading
import xml.etree.ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from diorama.capture.errors import InputError
from diorama.viewer import certificate as certificates
from diorama.viewer.certificate import Certificate, lan_addresses, lan_certificate, make_certificate
from diorama.viewer.studio import serve
from diorama.viewer.studio.invitations import qr_svg, qr_terminal
from diorama.viewer.studio.serve import Opened, listen_everywhere, serve_studio, session_secret

from .conftest import Tab
from .studio_doubles import MemoryJobs, MemoryLibrary

ADDRESS = "127.0.0.2"
"""Stands for an address on a network: every Linux machine answers there, as on all of 127.0.0.0/8."""


@dataclass
class Lan:
    links: Opened
    tls: ssl.SSLContext

    @property
    def base(self) -> str:
        return str(self.links.phone_url).split("/?")[0]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.base, verify=self.tls, trust_env=False, timeout=30)


@contextlib.contextmanager
def serving_studio(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, lan: bool, port: int | None = None
) -> Iterator[Opened]:
    """`serve_studio` in a thread."""
    servers: list[Any] = []
    ready = threading.Event()
    opened: list[Opened] = []
    make = serve.web_server

    def remember(*arguments: Any, **options: Any) -> Any:
        servers.append(make(*arguments, **options))
        ready.set()
        return servers[0]

    monkeypatch.setattr(serve, "web_server", remember)
    library, jobs = MemoryLibrary(folder / "library"), MemoryJobs(folder / "jobs")
    thread = threading.Thread(
        target=lambda: serve_studio(
            library, jobs, port=port, lan=lan, inspect=False, open_browser=False, on_ready=opened.append
        )
    )
    thread.start()
    assert ready.wait(30)
    try:
        yield opened[0]
    finally:
        servers[0].should_exit = True
        thread.join(20)
        monkeypatch.setattr(serve, "web_server", make)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: Path) -> Path:
    """A machine with one address on a network and nothing of ours on it yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(serve, "lan_addresses", lambda: [ADDRESS])
    monkeypatch.setattr("diorama.viewer.studio.app.require_bundle", lambda: pages)
    return tmp_path


@pytest.fixture
def lan(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lan]:
    with serving_studio(home, monkeypatch, lan=True) as links:
        yield Lan(links, ssl.create_default_context(cafile=str(home / "config" / "diorama" / "certificate.pem")))


def test_a_phone_comes_in_once_by_its_link(lan: Lan) -> None:
    assert lan.links.phone_url is not None and lan.base.startswith(f"https://{ADDRESS}:")
    with lan.client() as phone, lan.client() as second:
        assert phone.get("/").status_code == 403
        opened = phone.get(lan.links.phone_url)
        assert (opened.status_code, opened.headers["location"]) == (303, "/")
        words = opened.headers["set-cookie"]
        assert "Secure" in words and "HttpOnly" in words and "SameSite=strict" in words and "Path=/" in words
        assert "Domain" not in words
        assert phone.get("/").status_code == 200
        assert second.get(lan.links.phone_url).status_code == 403, "used up"
        assert not second.cookies
        assert phone.get(lan.links.phone_url).status_code == 403, "even for the one who used it"


def test_the_page_invites_others(lan: Lan) -> None:
    with lan.client() as phone, lan.client() as guest:
        phone.get(str(lan.links.phone_url))
        told = phone.get("/api/invite").json()
        assert told["url"].startswith(f"{lan.base}/?token=") and told["url"] != lan.links.phone_url
        assert xml.etree.ElementTree.fromstring(told["qr_svg"]).tag.endswith("svg")
        assert guest.head(told["url"]).status_code == 403, "looking does not use it up"
        assert guest.get(told["url"]).status_code == 303
        assert guest.get("/api/captures").json() == []


def test_the_link_for_this_machine_opens_once_too(lan: Lan) -> None:
    url = lan.links.url
    assert url.startswith("https://127.0.0.1:") and url.split("=")[1] != str(lan.links.phone_url).split("=")[1]
    with httpx.Client(verify=lan.tls, trust_env=False, timeout=30) as client:
        assert client.get(url).status_code == 303
        assert client.get(url).status_code == 403


def test_others_names_are_refused_there_too(lan: Lan) -> None:
    with lan.client() as phone:
        phone.get(str(lan.links.phone_url))
        port = lan.base.rsplit(":", 1)[1]
        for host in ("evil.example", ADDRESS, f"{ADDRESS}:1", f"127.0.0.3:{port}"):
            assert phone.get("/api/captures", headers={"Host": host}).status_code == 403
        for origin in (lan.base.replace("https", "http"), "https://evil.example", f"https://127.0.0.1:{port}"):
            assert phone.post("/api/uploads", headers={"Origin": origin}, json={}).status_code == 403
        assert phone.post("/api/uploads", headers={"Origin": lan.base}, json={}).status_code == 422


def test_plain_http_and_old_tls_get_nothing(lan: Lan) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(lan.base.replace("https", "http"), trust_env=False, timeout=20)
    old = ssl.create_default_context()
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.ConnectError, match=r"(?i)ssl|tls|eof|reset"):
        httpx.get(lan.base, verify=old, trust_env=False, timeout=20)


def test_a_session_outlives_the_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with httpx.Client(trust_env=False, timeout=30) as page:
        with serving_studio(home, monkeypatch, lan=False) as links:
            assert links.phone_url is None and links.url.startswith("http://127.0.0.1:")
            page.get(links.url)
            base = links.url.split("/?")[0]
            assert page.get(f"{base}/api/captures").status_code == 200
        with serving_studio(home, monkeypatch, lan=False, port=int(base.rsplit(":", 1)[1])) as links:
            assert page.get(f"{base}/api/captures").status_code == 200
            assert links.url.startswith(base)
    key = home / "config" / "diorama" / "sessions.key"
    assert key.stat().st_mode & 0o777 == 0o600 and session_secret(key.parent) == key.read_bytes()


@pytest.mark.browser
def test_a_browser_takes_it_for_a_secure_page(
    home: Path, bundle: Path, new_tab: Callable[..., Tab], monkeypatch: pytest.MonkeyPatch
) -> None:
    """WebXR is for secure pages only. That the certificate is its own is what a person accepts once."""
    monkeypatch.setattr("diorama.viewer.studio.app.require_bundle", lambda: bundle)
    with serving_studio(home, monkeypatch, lan=True) as links:
        tab = new_tab(390, 780, ignore_https_errors=True)
        sockets: list[str] = []
        tab.page.on("websocket", lambda socket: socket.on("framereceived", lambda _: sockets.append(socket.url)))
        tab.page.goto(links.phone_url)
        tab.wait("document.querySelector('main') !== null")
        while not sockets:
            tab.page.evaluate("new Promise((done) => requestAnimationFrame(() => done()))")
        assert sockets[0].startswith(f"wss://{ADDRESS}:")
        assert tab.page.evaluate("isSecureContext && document.cookie === '' && !location.search")
        assert tab.page.evaluate("fetch('/api/captures').then((r) => r.status)") == 200
        assert not tab.errors


def test_all_addresses_are_listened_on_or_none() -> None:
    with listen_everywhere(None) as listener:
        port = listener.getsockname()[1]
        for address in ("127.0.0.1", ADDRESS, *(["::1"] if socket.has_dualstack_ipv6() else [])):
            socket.create_connection((address, port), timeout=20).close()
        with pytest.raises(InputError, match=f"Port {port} cannot be used"):
            listen_everywhere(port)
    with pytest.raises(InputError, match="cannot be used"):
        listen_everywhere(70_000)


def test_without_a_network_there_is_a_sentence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "lan_addresses", lambda: [])
    with pytest.raises(InputError, match="needs a network"):
        serve_studio(
            MemoryLibrary(home),
            MemoryJobs(home),
            port=None,
            lan=True,
            inspect=False,
            open_browser=False,
            on_ready=print,
        )


def test_the_certificate_is_made_once_and_renewed_when_it_must(tmp_path: Path) -> None:
    def serial(made: Certificate) -> int:
        assert made.key.stat().st_mode & 0o777 == 0o600
        return x509.load_pem_x509_certificate(made.certificate.read_bytes()).serial_number

    addresses, names = ["192.168.1.5", "fd00::5"], ["studio", "studio.local"]
    made = lan_certificate(tmp_path, addresses, names)
    first = serial(made)
    known = x509.load_pem_x509_certificate(made.certificate.read_bytes())
    covered = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(a) for a in covered.get_values_for_type(x509.IPAddress)} == {*addresses, "127.0.0.1", "::1"}
    assert set(covered.get_values_for_type(x509.DNSName)) == {*names, "localhost"}
    assert (known.not_valid_after_utc - known.not_valid_before_utc).days <= 397
    made.key.chmod(0o644)
    assert serial(lan_certificate(tmp_path, addresses, names)) == first, "kept, and its key closed to others again"
    second = serial(lan_certificate(tmp_path, ["192.168.1.6"], names))
    assert second != first, "for another address"
    made.key.write_bytes(make_certificate([], [])[1])
    third = serial(lan_certificate(tmp_path, ["192.168.1.6"], names))
    assert third != second, "the key is not its own"
    for path in (made.certificate, made.key):
        path.write_bytes(b"broken")
        before, third = third, serial(lan_certificate(tmp_path, ["192.168.1.6"], names))
        assert third != before, f"{path.name} is broken"
    old = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=340)
    made.certificate.write_bytes(make_certificate(["192.168.1.6"], names, now=old)[0])
    assert serial(lan_certificate(tmp_path, ["192.168.1.6"], names)) != third, "soon over"


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "diorama").write_text("a file")
    with pytest.raises(InputError, match=r"could not be written .* --lan"):
        lan_certificate(tmp_path / "diorama", [], [])


def test_addresses_of_this_machine_are_usable() -> None:
    for address in lan_addresses():
        assert not address.startswith(("127.", "fe80", "0.")) and address != "::1"
    assert all(re.fullmatch(r"[a-z0-9-]+(\.local)?", name) for name in certificates.host_names())


def test_qr_codes() -> None:
    url = "https://192.168.1.5:7860/?token=" + "x" * 43
    assert "<script" not in qr_svg(url)
    rows = qr_terminal(url).strip("\n").split("\n")
    assert len(rows) > 15 and len({len(re.sub("\x1b\\[[0-9;]*m", "", row)) for row in rows}) == 1
