"""A server as a child: it hears what it is told and nothing else, and it ends when we do."""

from __future__ import annotations

import json
import os
import socket

import pytest

from cortexbuild.cli.serving import (
    check_installed,
    find_port,
    is_loopback,
    running,
    wait_until_ready,
)
from cortexbuild.core.ports import Server
from cortexbuild.errors import ToolError, UsageError

FAKE = """
import http.server, json, os, sys
if "--fail" in sys.argv:
    sys.exit("no such model")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert asked["max_tokens"] == 1, asked
        code = 200 if asked["model"] == "m:t" else 500
        body = json.dumps(dict(os.environ)).encode()
        if code == 200:  # before the answer: whoever has it may end this process
            with open(sys.argv[2], "wb") as said:
                said.write(body)
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A server that writes down its environment when it is first asked."""
    (tmp_path / "fake_server.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    port, said = find_port("127.0.0.1", 0), tmp_path / "environment"
    arguments = (str(port), str(said))
    return Server("fake_server", arguments, "m:t", (), ""), port, said


def test_it_is_ready_when_it_answers_and_ends_with_the_block(fake, monkeypatch):
    server, port, said = fake
    monkeypatch.setenv("HOST", "0.0.0.0")
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("HF_HUB_CACHE", "/models/of/mine")
    with running(server, [], loud=False) as child:
        wait_until_ready(child, "127.0.0.1", port, "m:t")
        assert os.getsid(child.pid) != os.getsid(0)
    assert child.returncode == -15
    told = json.loads(said.read_text())
    assert not {"HOST", "PORT"} & told.keys() and told["HF_HUB_OFFLINE"] == "1"
    assert told["HF_HUB_CACHE"] != "/models/of/mine"
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))


def test_one_that_fails_says_why(fake):
    server, port, _ = fake
    with (
        pytest.raises(ToolError, match="ended with 1 before it was ready") as caught,
        running(server, ["--fail"], loud=False) as child,
    ):
        wait_until_ready(child, "127.0.0.1", port, "m:t")
    assert "no such model" in caught.value.hint


def test_one_that_answers_with_an_error_is_not_ready(fake):
    server, port, _ = fake
    with (
        pytest.raises(ToolError, match="answers with 500"),
        running(server, [], loud=False) as child,
    ):
        wait_until_ready(child, "127.0.0.1", port, "another")
    assert child.returncode == -15


def test_a_port_that_is_taken_is_nobodys_to_ask():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {taken}: Address already in use") as caught:
            find_port("127.0.0.1", taken)
    assert "--port 0" in caught.value.hint and find_port("127.0.0.1", taken) == taken
    with pytest.raises(UsageError, match="no.such.host"):
        find_port("no.such.host.invalid", 0)


def test_what_it_needs_is_looked_for_first():
    server = Server("x", (), "m", ("json", "fastapi_of_nobody"), "gguf,serve")
    with pytest.raises(ToolError, match="fastapi_of_nobody is not installed") as caught:
        check_installed(server)
    assert caught.value.hint == "pip install 'cortexbuild[gguf,serve]'"


@pytest.mark.parametrize(
    ("host", "ours"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False)]
)
def test_who_can_reach_it(host, ours):
    assert is_loopback(host) is ours


def test_what_is_not_built_is_not_served(space):
    assert "is not built" in space.run("serve", "m:t", code=1).stderr
    assert "--port must be" in space.run("serve", "m:t", "--port", "70000", code=2).stderr
