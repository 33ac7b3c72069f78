"""Who is refused, by HTTP and by WebSocket: nothing of a studio is to be had without its key, from its own page."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidHandshake, InvalidStatus

from diorama.viewer.jobs import JobRequest
from diorama.viewer.keys import INVITATION_S, OPEN_INVITATIONS, SESSION_S, Keys

from .conftest import running_studio
from .studio_doubles import Studio

PATHS = (
    "/", "/api/captures", "/api/jobs", "/api/uploads", "/api/studio", "/api/invite", "/api/openapi.json", "/api/trash",
    "/scenes/capture-1/", "/scenes/capture-1/scene.json", "/scenes/capture-1/report/", "/assets/s.js", "/nothing",
)  # fmt: skip
OWN_WORDS = ("link", "127.0.0.1", "Another page", "Origin", "one way")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pages: Path) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("studio")
    (folder / "secret").write_text("root:secret")
    with running_studio(folder, pages) as opened:
        (opened.library.folder(opened.library.add("One", has_report=True).id) / "report").mkdir()
        opened.jobs.submit(JobRequest("capture-1", "scan"))
        yield opened


@pytest.fixture
def studio(server: Studio) -> Studio:
    """One server for all tests here: none of them gets anything changed."""
    return server


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def refused(answer: httpx.Response) -> bool:
    """Refused by the guard: one of its sentences, and nothing else."""
    return (
        answer.status_code in (400, 403) and any(word in answer.text for word in OWN_WORDS) and len(answer.text) < 200
    )


def raw(studio: Studio, request: bytes) -> bytes:
    """The first line of the answer to bytes that no client library would send."""
    with socket.create_connection(("127.0.0.1", studio.port), timeout=20) as connection:
        connection.sendall(request)
        return connection.recv(65536).split(b"\r\n")[0]


def test_without_a_key_there_is_nothing(studio: Studio) -> None:
    with httpx.Client(base_url=studio.origin, trust_env=False, headers={"Origin": studio.origin}) as stranger:
        for path in PATHS:
            assert refused(stranger.get(path)), path
            assert refused(stranger.get(f"{path}?token=wrong")), path
        for query in ("token=", "token=%ff", "token=wrong&token=secret-of-the-tests", "Token=secret-of-the-tests"):
            assert refused(stranger.get(f"/?{query}")), query
        for method in ("POST", "PATCH", "DELETE", "PUT", "OPTIONS", "HEAD"):
            assert stranger.request(method, "/api/captures").status_code == 403, method
        assert not stranger.cookies


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:{port}",
     "localhost.evil.example:{port}", "127.0.0.1:{port}.evil.example", "evil.example@127.0.0.1:{port}",
     "0.0.0.0:{port}",
     "127.1:{port}", "2130706433:{port}", "[::ffff:127.0.0.1]:{port}", "127.0.0.1:{port},evil.example",
     "127.0.0.1:0{port}", ""],
)  # fmt: skip
def test_a_wrong_host_is_refused(studio: Studio, host: str) -> None:
    name = host.replace("{port}", str(studio.port))
    assert refused(studio.client.get("/api/captures", headers={"Host": name}))
    with pytest.raises(InvalidHandshake):
        studio.listen(Host=name or " ")


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1", "https://127.0.0.1:{port}",
     "http://127.0.0.1:{port}.evil.example", "http://evil.example/http://127.0.0.1:{port}", "http://localhost:{port}",
     "file://", "http://127.0.0.1:{port} http://evil.example"],
)  # fmt: skip
def test_a_wrong_origin_is_refused(studio: Studio, origin: str) -> None:
    name = origin.replace("{port}", str(studio.port))
    for method in ("GET", "POST", "PATCH", "DELETE"):
        assert refused(studio.client.request(method, "/api/captures", headers={"Origin": name}))
    with pytest.raises(InvalidStatus) as refusal:
        studio.listen(Origin=name)
    assert refusal.value.response.status_code == 403


def test_what_changes_something_needs_an_origin(studio: Studio) -> None:
    with httpx.Client(base_url=studio.origin, trust_env=False, headers={"Cookie": studio.cookie}) as client:
        assert client.get("/api/captures").status_code == 200
        for method, path in (
            ("DELETE", "/api/captures/capture-1"), ("PATCH", "/api/captures/capture-1"), ("POST", "/api/uploads"),
            ("POST", "/api/jobs"), ("DELETE", "/api/trash"),
        ):  # fmt: skip
            assert refused(client.request(method, path, json={"title": "x"}))
    assert [c.title for c in studio.library.list()] == ["One"]


def test_another_port_of_this_machine_is_another_page(studio: Studio) -> None:
    """The strict cookie goes along with requests from http://127.0.0.1:OTHER: for cookies that is the same site."""
    picture = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"}
    assert refused(studio.client.get("/api/captures", headers=picture))
    assert refused(studio.client.get("/", headers={**picture, "Sec-Fetch-Dest": "iframe"}))
    assert studio.client.get("/", headers={**picture, "Sec-Fetch-Dest": "document"}).status_code == 200
    assert studio.client.get("/api/captures", headers={**picture, "Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_websockets_need_origin_and_key(studio: Studio) -> None:
    with studio.listen() as listening:
        assert listening.recv(timeout=20)
    for wrong in ({"Origin": ""}, {"Cookie": ""}, {"Cookie": f"diorama-{studio.port}=wrong"}):
        with pytest.raises(InvalidStatus) as refusal:
            studio.listen(**wrong)
        assert refusal.value.response.status_code == 403
    for path in ("/api/nothing", "/", "/scenes/capture-1/none"):
        with pytest.raises(InvalidStatus):
            studio.listen(path)


def test_the_cookie_of_another_port_opens_nothing(studio: Studio, tmp_path: Path, pages: Path) -> None:
    with running_studio(tmp_path / "other", pages) as other:
        value = other.client.cookies[f"diorama-{other.port}"]
    for name in (f"diorama-{studio.port}", f"diorama-{other.port}", "diorama"):
        with httpx.Client(base_url=studio.origin, trust_env=False) as client:
            assert refused(client.get("/api/captures", headers={"Cookie": f"{name}={value}"}))


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%252f..%252fetc/passwd",
     "/assets/..%2f..%2fsecret", "/assets/..\\..\\secret", "/assets/%5c..%5csecret", "//etc/passwd", "/%00",
     "/scenes/..%2f..%2fetc/", "/scenes/%2e%2e/%2e%2e/", "/scenes/capture-1/..%2f..%2fetc/passwd",
     "/scenes/capture-1/report/..%2f..%2f..%2fetc/passwd", "/api/captures/..%2f..%2fetc/thumbnail",
     "/api/captures/%2e%2e/exports/passwd", "/api/captures/capture-1/exports/..%2f..%2fsecret",
     "/api/captures/capture-1/exports//etc/passwd", "/api/jobs/job-1/pictures/..%2f..%2fsecret",
     "/api/jobs/%2e%2e/pictures/secret", "/api/uploads/..%2f..%2fsecret", "/api/uploads/%2e%2e", "/scenes/", "/assets/",
     "/.scratch/", "/library/", "http://evil.example/", "*"],
)  # fmt: skip
def test_no_path_leaves_its_place(studio: Studio, path: str) -> None:
    head = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{studio.port}\r\nCookie: {studio.cookie}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", studio.port), timeout=20) as connection:
        connection.sendall(head.encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.split(b" ")[1] in (b"400", b"404", b"409", b"422"), answer[:300]
    assert b"root:" not in answer and b"Traceback" not in answer


def test_odd_requests_are_refused(studio: Studio) -> None:
    own = f"Host: 127.0.0.1:{studio.port}\r\nCookie: {studio.cookie}\r\nOrigin: {studio.origin}\r\n"
    chunks = "5\r\nhello\r\n0\r\n\r\n"
    both = f"POST /api/uploads HTTP/1.1\r\n{own}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
    assert b" 400 " in raw(studio, both.encode()), "which of the two is the length?"
    for lines in (
        f"POST /api/uploads HTTP/1.1\r\n{own}Content-Length: 5\r\nContent-Length: 50\r\n\r\nhello",
        f"POST /api/uploads HTTP/1.1\r\n{own}Content-Length: -5\r\n\r\nhello",
        f"POST /api/uploads HTTP/1.1\r\n{own}Content-Length: 5x\r\n\r\nhello",
        f"POST /api/uploads HTTP/1.1\r\n{own}Transfer-Encoding: chunked, identity\r\n\r\n{chunks}",
        f"POST /api/uploads HTTP/1.1\r\n{own}Transfer-Encoding: xchunked\r\n\r\n{chunks}",
        f"GET /api/captures HTTP/1.1\r\n{own}Host: evil.example\r\n\r\n",
        f"GET /api/captures HTTP/1.1\r\n{own}Origin: http://evil.example\r\n\r\n",
        f"GET /api/captures HTTP/1.1\r\nHost : 127.0.0.1:{studio.port}\r\nCookie: {studio.cookie}\r\n\r\n",
        f"GET /api/captures HTTP/1.1\r\n{own}X: a\r\n folded\r\nbroken line\r\n\r\n",
        "GET /api/captures\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ):
        status = raw(studio, lines.encode("latin-1"))
        assert not status or status.split(b" ")[1][:1] == b"4", (lines, status)
    assert studio.client.get("/api/captures").status_code == 200  # and the server goes on


def test_what_a_proxy_would_say_is_not_heard(studio: Studio) -> None:
    said = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "Forwarded": "host=evil.example;proto=https",
        "X-Original-URL": "/api/trash",
        "X-HTTP-Method-Override": "DELETE",
    }
    answer = studio.client.get("/scenes/capture-1", headers=said)
    assert answer.headers["location"] == "capture-1/"
    assert refused(httpx.get(f"{studio.origin}/", headers={**said, "Host": "evil.example"}, trust_env=False))


def test_bodies_are_bounded(studio: Studio) -> None:
    big = b'{"title": "' + b"x" * (2 << 20) + b'"}'
    for content in (big, iter([big[: 1 << 20], big[1 << 20 :]])):  # announced, and in chunks
        answer = studio.client.post("/api/captures", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, set(answer.json())) == (413, {"error"})
    many = "GET / HTTP/1.1\r\n" + "".join(f"X-{i}: {'y' * 1000}\r\n" for i in range(200))
    assert raw(studio, many.encode()).split(b" ")[1][:1] == b"4"


def test_every_answer_carries_the_policy(studio: Studio) -> None:
    answers = [studio.client.get(path) for path in ("/", "/api/captures", "/none")]
    answers += [studio.client.get("/", headers={"Host": "evil.example"})]
    answers += [studio.client.post("/api/uploads", content=b"{")]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert (
            "default-src 'none'" in policy
            and "unsafe-inline" not in policy
            and "unsafe-eval" not in policy.replace("wasm-unsafe-eval", "")
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers and "access-control-allow-origin" not in answer.headers


def test_an_invitation_opens_once_and_not_for_ever() -> None:
    clock = Clock()
    keys = Keys("1", clock=clock)
    invitation = keys.invite()
    session = keys.redeem(invitation.token)
    assert session is not None and keys.is_session(session)
    assert keys.redeem(invitation.token) is None
    late = keys.invite()
    clock.now += INVITATION_S
    assert keys.redeem(late.token) is None
    clock.now += SESSION_S - INVITATION_S
    assert not keys.is_session(session)


def test_only_the_latest_invitations_wait() -> None:
    keys = Keys("1")
    first, *others = [keys.invite() for _ in range(OPEN_INVITATIONS + 1)]
    assert keys.redeem(first.token) is None
    assert all(keys.redeem(other.token) for other in others)


def test_sessions_hold_for_one_server_and_one_secret() -> None:
    keys = Keys("1 /a", secret=b"s" * 32, link="link")
    session = keys.redeem("link")
    assert session is not None
    assert Keys("1 /a", secret=b"s" * 32).is_session(session), "it survives a restart"
    assert not Keys("2 /a", secret=b"s" * 32).is_session(session)
    assert not Keys("1 /b", secret=b"s" * 32).is_session(session)
    assert not Keys("1 /a", secret=b"t" * 32).is_session(session)
    expires, nonce, signature = session.split(".")
    forged = [f"{int(expires) + 1}.{nonce}.{signature}", f"{expires}.x.{signature}", f"{expires}.{nonce}."]
    forged += ["..", "", "\udcff.a.b", f"{session}.", f"\u0663.{nonce}.{signature}", "9" * 5000 + ".a.b"]
    assert not [value for value in forged if keys.is_session(value)]
