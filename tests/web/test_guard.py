"""The page answers its own browser and apps alone: hosts, origins, tokens, malformed bytes."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.clock import SystemClock
from monitor.config import WebAddress
from monitor.errors import InputError
from monitor.sinks.redis_server import RedisServer
from monitor.web import connections
from monitor.web.link import kept_token, link_of, print_link, qr_code
from monitor.web.server import serve
from tests.sinks.conftest import started_server
from tests.sinks.terminals import Terminal
from tests.sinks.waiting import until
from tests.web.peers import TOKEN, Page, served
from tests.web.requests import malformed

GET = "GET /api/v1/now HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """An event server for all tests of this file: none of them changes it."""
    yield from started_server()


@pytest.fixture(scope="module")
def page(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page on a free port of loopback."""
    with served(redis_server.url, tmp_path_factory.mktemp("nights")) as page:
        yield page


@pytest.fixture(scope="module")
def locked(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page as beyond this machine: with a token, and a host's name from the configuration."""
    folder, hosts = tmp_path_factory.mktemp("nights"), ["sleep.example.org"]
    with served(redis_server.url, folder, token=TOKEN, hosts=hosts) as page:
        yield page


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", socket.gethostname()])
def test_the_names_of_this_machine_are_answered(page: Page, host: str) -> None:
    assert b" 200 " in page.send(GET.format(host=f"{host}:{page.port}").encode())


def test_a_configured_name_is_answered_with_any_port(locked: Page) -> None:
    headers = {"Host": "sleep.example.org", "Authorization": f"Bearer {TOKEN}"}
    assert locked.ask("/api/v1/now", headers=headers).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",  # DNS rebinding: its name leads to this machine
        "evil.example:8030",
        "127.0.0.1.evil.example",
        "10.1.2.3",  # an address, but not the one that was connected to
        "[::1]",
        "localhost@evil.example",
        "evil.example#localhost",
        "localhost/evil",
        "localhost:99999",
        "",
        "a" * 9000,
    ],
)
def test_a_foreign_host_is_refused(page: Page, host: str) -> None:
    answer = page.send(GET.format(host=host).encode())
    assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400"))
    assert b"sleepers" not in answer


def test_no_host_and_two_hosts_are_refused(page: Page) -> None:
    for lines in ("", f"Host: 127.0.0.1:{page.port}\r\nHost: localhost\r\n"):
        answer = page.send(f"GET /api/v1/now HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
        assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400"))


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "file://"])
def test_a_foreign_origin_neither_reads_nor_marks(page: Page, origin: str) -> None:
    assert page.ask("/api/v1/now", headers={"Origin": origin}).status == 403
    assert page.mark({"Origin": origin}, kind="lights_off").status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_foreign_page_cannot_load_the_api_as_a_script_or_a_picture(page: Page, site: str) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    assert page.ask("/api/v1/now", headers=headers).status == 403
    assert page.ask("/", headers=headers | {"Sec-Fetch-Mode": "navigate"}).status == 200


def test_the_own_origin_is_answered(page: Page) -> None:
    headers = {"Origin": f"http://127.0.0.1:{page.port}", "Sec-Fetch-Site": "same-origin"}
    assert page.ask("/api/v1/now", headers=headers).status == 200


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "X"]
)
def test_only_get_reads(page: Page, method: str) -> None:
    answer = page.ask("/api/v1/now", method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_only_post_marks(page: Page, method: str) -> None:
    assert page.ask("/api/v1/marks", method).status == 405


def test_beyond_this_machine_everything_but_the_empty_page_needs_the_token(locked: Page) -> None:
    for path in ("/api/v1/now", "/api/v1/events", "/api/v1/nights", "/nights/a", "/api"):
        assert locked.ask(path).status == 401
        for wrong in (
            "Bearer " + "x" * 43,
            f"Bearer {TOKEN}x",
            f"Basic {TOKEN}",
            TOKEN,
            "Bearer é",
        ):
            encoded = wrong.encode("utf-8").decode("latin-1")
            assert locked.ask(path, headers={"Authorization": encoded}).status == 401
    assert locked.mark(kind="lights_off").status == 401
    assert locked.ask("/api/v1/now", headers={"Authorization": f"Bearer {TOKEN}"}).status == 200
    assert locked.ask("/").status == locked.ask("/page.js").status == 200


def test_the_link_sets_a_cookie_that_no_other_site_can_use(locked: Page) -> None:
    answer = locked.ask(f"/?token={TOKEN}")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    mine = {"Cookie": cookie.partition(";")[0]}
    assert locked.ask("/api/v1/now", headers=mine).status == 200
    # A visit makes it last longer.
    assert "set-cookie" in locked.ask("/", headers=mine).headers


@pytest.mark.parametrize("query", ["?token=wrong", "?token=", "?token=%00", "?token=%C3%A9", ""])
def test_a_wrong_link_sets_no_cookie(locked: Page, query: str) -> None:
    assert "set-cookie" not in locked.ask(f"/{query}").headers


def test_a_token_in_the_address_of_anything_else_opens_nothing(locked: Page) -> None:
    assert locked.ask(f"/api/v1/now?token={TOKEN}").status == 401


@pytest.mark.parametrize("cookie", ["sleep-monitor=x", "sleep-monitor", "=;=;", "a" * 9000, '"'])
def test_a_wrong_cookie_opens_nothing(locked: Page, cookie: str) -> None:
    assert locked.ask("/api/v1/now", headers={"Cookie": cookie}).status == 401


PATHS = [
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/nights/..%2f..%2fsecret",
    "/nights/../../secret",
    "/nights/%2e%2e%2fsecret",
    "/nights/..\\secret",
    "/nights/secret.sqlite",
    "/nights/%00",
    "/nights/" + "a" * 5000,
    "//etc/passwd",
    "/static/page.html",
    "/page.html",
    "/api/v1/sessions/..%2f..",
    "/.env",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_to_another_file(
    page: Page, tmp_path_factory: pytest.TempPathFactory, path: str
) -> None:
    (tmp_path_factory.getbasetemp() / "secret.sqlite").write_text("secret")
    (tmp_path_factory.getbasetemp() / "secret.html").write_text("secret")
    lines = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = page.send(lines.encode())
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400"))
    assert b"root:" not in answer and b"\r\n\r\nsecret" not in answer


def test_every_answer_forbids_scripts_frames_and_other_sites(page: Page) -> None:
    for path in ("/", "/page.js", "/api/v1/now", "/api", "/nope"):
        headers = page.ask(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe-eval" not in policy and "*" not in policy and "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers
    assert "script-src 'self';" in page.ask("/").headers["content-security-policy"]
    assert "unsafe-inline" not in page.ask("/").headers["content-security-policy"]


def test_malformed_requests_are_refused_and_none_stops_the_page(page: Page) -> None:
    for request in malformed(300):
        answer = page.send(request, wait_s=3.0, half_close=True)
        assert answer[9:12] not in (b"200", b"201", b"500"), request
    assert page.ask("/api/v1/now").status == 200


def test_a_body_that_is_too_large_is_cut_off(page: Page) -> None:
    assert page.mark(kind="note", text="a" * 9000).status == 413


def test_a_form_of_another_page_is_no_mark(page: Page) -> None:
    body, headers = b"kind=lights_off", {"Content-Type": "application/x-www-form-urlencoded"}
    assert page.ask("/api/v1/marks", "POST", body, headers).status == 415
    assert page.ask("/api/v1/marks", "POST", body, {"Content-Type": "text/plain"}).status == 415


def test_a_connection_without_a_request_is_closed(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_S", 0.2)
    with (
        served(server.url, tmp_path) as page,
        socket.create_connection(("127.0.0.1", page.port), timeout=10.0) as slow,
    ):
        slow.sendall(b"GET / HTTP/1.1\r\nHost: local")
        assert slow.recv(100) == b""


def test_without_a_token_the_page_is_served_on_loopback_alone(server: RedisServer) -> None:
    serving = serve(WebAddress("0.0.0.0", 0), server.url, SystemClock(), token=None)
    with pytest.raises(InputError, match="the page needs a token"), serving:
        pass


def test_a_port_that_is_taken_is_named(page: Page, server: RedisServer) -> None:
    address = WebAddress("127.0.0.1", page.port)
    serving = serve(address, server.url, SystemClock(), token=None)
    with pytest.raises(InputError, match=f"127.0.0.1:{page.port}: Address already in use"), serving:
        pass


def test_the_token_is_kept_where_only_the_user_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "data" / "web-token"
    token = kept_token(file)
    assert len(token) == 43 and file.stat().st_mode & 0o777 == 0o600
    assert kept_token(file) == token
    file.chmod(0o644)
    with pytest.raises(InputError, match="other users may read"):
        kept_token(file)
    file.write_text("short")
    with pytest.raises(InputError, match="holds no token"):
        kept_token(file)


def test_the_link_and_its_code_name_an_address_that_a_phone_reaches() -> None:
    assert link_of(WebAddress("127.0.0.1", 8030), None) == "http://127.0.0.1:8030/"
    assert link_of(WebAddress("192.168.1.5", 1), TOKEN) == f"http://192.168.1.5:1/?token={TOKEN}"
    link = link_of(WebAddress("0.0.0.0", 8030), TOKEN)
    assert "0.0.0.0" not in link and link.endswith(TOKEN)
    assert len(qr_code(link).splitlines()) < 24


def test_a_terminal_gets_the_link_and_its_code_and_a_journal_no_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    address, terminal, journal = WebAddress("192.168.1.5", 8030), Terminal(), io.StringIO()
    print_link(address, terminal)
    print_link(address, journal)
    token = kept_token(tmp_path / "sleep-monitor" / "web-token")
    assert f"http://192.168.1.5:8030/?token={token}" in terminal.getvalue()
    assert "\u2588" in terminal.getvalue()  # a block of the code
    assert token not in journal.getvalue() and "--link" in journal.getvalue()


def test_the_page_ends_while_a_browser_is_connected(server: RedisServer, tmp_path: Path) -> None:
    with served(server.url, tmp_path) as page:
        connection = socket.create_connection(("127.0.0.1", page.port), timeout=10.0)
        connection.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
    with connection:
        until(lambda: not connection.recv(65536), "the connection to be closed")
