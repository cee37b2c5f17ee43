"""Who may do what: levels, hosts, origins, and a port that others can reach."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from flask import Flask

from tests.serving import Vedette, free_port
from web import create_app
from web.access import Level, level, require_levels
from web.addresses import host_name, is_loopback
from web.settings import CameraSettings, Settings

if TYPE_CHECKING:
    from tests.conftest import Serve


def test_a_route_without_a_level_does_not_start() -> None:
    """Default deny: whoever adds a route says who may use it, or the server does not come up."""
    app = create_app(Settings(cameras=(CameraSettings(name="camera", source="pattern"),)))
    app.add_url_rule("/new", view_func=lambda: "everyone sees this")
    with pytest.raises(LookupError, match="/new"):
        require_levels(app)
    bare = Flask("bare")
    bare.add_url_rule("/", endpoint="declared", view_func=level(Level.VIEWER)(lambda: ""))
    with pytest.raises(LookupError, match="static"):
        require_levels(bare)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:80",
        "127.0.0.1",
        "[::1]:8080",
        "10.1.2.3",
        socket.gethostname(),
        "LOCALHOST",
        "localhost.",
    ],
)
def test_own_names_and_addresses_are_answered(pattern_server: Vedette, host: str) -> None:
    """An address cannot be rebound, and our own names are ours."""
    assert pattern_server.get("/state", Host=host)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "evil.example:80", "a@evil.example", "["])
@pytest.mark.parametrize("path", ["/", "/state", "/stream", "/snapshot", "/healthz", "/static/vedette.css", "/nothing"])
def test_a_foreign_host_name_is_refused(pattern_server: Vedette, host: str, path: str) -> None:
    """DNS rebinding: a page elsewhere that points its own name here gets nothing, on any route."""
    connection = http.client.HTTPConnection("127.0.0.1", pattern_server.port, timeout=10)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status in (400, 421)
    assert b"\xff\xd8" not in answer.read()
    connection.close()


def test_a_configured_name_is_answered(serve: Serve) -> None:
    """`hosts` adds the name under which a proxy is known."""
    vedette = serve("--source", "pattern", config='hosts = ["camera.example"]\n')
    assert vedette.get("/healthz", Host="camera.example")[0] == 200
    assert vedette.get("/healthz", Host="other.example")[0] == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_another_sites_page_cannot_change_anything(pattern_server: Vedette, headers: dict[str, str]) -> None:
    """A request that would change something is refused when a browser says that another site sent it."""
    status, _, body = pattern_server.get("/state", "POST", **headers)
    assert status == 403
    assert "another site" in json.loads(body)["error"]


def test_our_own_page_and_programs_may_ask_for_changes(pattern_server: Vedette) -> None:
    """The check lets through what comes from here, or from no page at all (there is nothing to change here yet)."""
    assert pattern_server.get("/state", "POST")[0] == 405
    assert pattern_server.get("/state", "POST", Origin=pattern_server.url)[0] == 405


def test_on_this_machine_everybody_is_an_operator(pattern_server: Vedette) -> None:
    """Without a password, whoever sits at the machine may do everything."""
    assert pattern_server.state()["level"] == "operator"


def test_what_comes_through_a_proxy_is_not_this_machine(pattern_server: Vedette) -> None:
    """A proxy runs on loopback too; those behind it do not."""
    for headers in ({"X_Forwarded_For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}, {"Via": "1.1 proxy"}):
        for path in ("/", "/state", "/stream", "/snapshot", "/static/vedette.css"):
            assert pattern_server.get(path, **headers)[0] == 403
        assert pattern_server.get("/healthz", **headers)[0] == 200


def test_open_makes_others_viewers_and_nothing_more(serve: Serve) -> None:
    """They see the picture and the state, and not who else is watching."""
    vedette = serve("--source", "pattern", "--host", "0.0.0.0", "--open")  # noqa: S104 - that is the point
    with vedette.connect():
        assert json.loads(vedette.get("/state")[2])["level"] == "operator"
        status, _, body = vedette.get("/state", X_Forwarded_For="192.0.2.7")
        told = json.loads(body)
        assert status == 200
        assert told["level"] == "viewer"
        assert told["viewers"]["count"] == 1
        assert "address" not in told["cameras"]["camera"]["viewers"][0]
        assert vedette.get("/snapshot", X_Forwarded_For="192.0.2.7")[0] == 200


def refusal(*arguments: str) -> str:
    """The one line with which `vedette` does not start when given these arguments."""
    result = subprocess.run(
        [sys.executable, "-m", "web", "--source", "pattern", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode in (1, 2)
    (line,) = result.stderr.splitlines()
    return line


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "no-such-host.invalid", "192.0.2.1"])
def test_a_host_that_is_none_of_ours_is_said_in_one_line(host: str) -> None:
    """Whatever is wrong with it."""
    assert host in refusal("--host", host, "--port", str(free_port()))


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - refused, not bound
def test_a_port_that_others_can_reach_is_refused_unless_open(host: str) -> None:
    """Nobody shows their room to the network by accident."""
    assert "--open" in refusal("--host", host, "--port", str(free_port()))


def test_a_port_in_use_is_said_in_one_line(pattern_server: Vedette) -> None:
    """The second server on a port ends at once and says why."""
    assert "is in use" in refusal("--port", str(pattern_server.port))


def test_strangers_do_not_write_the_log(serve: Serve) -> None:
    """What is malformed is answered, and neither it nor a trace of it is logged."""
    vedette = serve("--source", "pattern")
    for line in (b"GET /?token=secret HTTP/9.9", b"\x00\xff secret", b"GET secret HTTP/1.1", b"secret"):
        with socket.create_connection(("127.0.0.1", vedette.port), timeout=30) as connection:
            connection.sendall(line + b"\r\nHost: localhost\r\nBad Header\r\n\r\n")
            connection.recv(65536)
    assert vedette.get("/state", "POST", Origin="http://[")[0] == 403
    assert "secret" not in vedette.log
    assert "Traceback" not in vedette.log


def test_pages_carry_security_headers(pattern_server: Vedette) -> None:
    """No sniffing, no referrer, and nothing but our own scripts and styles."""
    headers = pattern_server.get("/")[1]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]


def test_errors_are_pages_for_people_and_json_for_programs(pattern_server: Vedette) -> None:
    """One line each, and no trace of how the server is made."""
    status, headers, body = pattern_server.get("/nothing", Accept="text/html,*/*;q=0.8")
    assert (status, headers.get_content_type()) == (404, "text/html")
    assert b"Traceback" not in body
    status, headers, body = pattern_server.get("/nothing")
    assert (status, headers.get_content_type()) == (404, "application/json")
    assert json.loads(body)["status"] == 404


def test_addresses_are_read_as_browsers_write_them() -> None:
    """Ports, brackets, capitals, a final dot, and IPv4 in IPv6."""
    assert host_name("LOCALHOST:80") == "localhost"
    assert host_name("[::1]:8080") == "::1"
    assert host_name("camera.local.") == "camera.local"
    assert host_name("[") is None
    assert host_name("") is None
    assert is_loopback("127.8.8.8")
    assert is_loopback("::1")
    assert is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("0.0.0.0")  # noqa: S104 - compared
    assert not is_loopback("::")
    assert not is_loopback("localhost")
