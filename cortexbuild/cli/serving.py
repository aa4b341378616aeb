"""A runtime's own server as a child of ours, from its start to its end."""

from __future__ import annotations

import http.client
import importlib.util
import json
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..core.ports import Server
from ..errors import ToolError, UsageError
from ..processes import Late, Process, serve

PATIENCE = 5.0
"""Seconds for a server to end by itself."""
_SHOWN = 15


def find_port(host: str, port: int) -> int:
    """A port to listen on: this one if it is free, and any for 0. Raises UsageError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        raise UsageError(
            f"nothing can listen at {host}, port {port}: {error.strerror}",
            hint="`--port 0` takes a free port",
        ) from error


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def check_installed(server: Server) -> None:
    missing = [name for name in server.modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ToolError(
            f"{server.module} cannot be started: {', '.join(missing)} is not installed",
            hint=f"pip install 'cortexbuild[{server.extra}]'",
        )


@contextmanager
def running(server: Server, more: Sequence[str], *, loud: bool) -> Iterator[Process]:
    """The server, until the block ends. It uses no network but for its clients, and sees no models
    but this one; nor HOST and PORT, which llama_cpp.server would believe before its arguments.
    What it says is shown if it is `loud`, and else when it fails."""
    with tempfile.TemporaryDirectory(prefix="cortexbuild-serve-") as scratch:
        said = Path(scratch, "said")
        told = {"HF_HUB_CACHE": scratch, "PYTHONWARNINGS": "ignore"}
        argv = [sys.executable, "-P", "-m", server.module, *server.arguments, *more]
        child = serve(argv, told, None if loud else said)
        try:
            yield child
        except ToolError as error:
            lines = said.read_text(errors="replace").splitlines()[-_SHOWN:]
            if lines:
                error.hint = "it said:\n  " + "\n  ".join(lines)
            raise
        finally:
            _end(child)


def wait_until_ready(child: Process, host: str, port: int, model: str) -> None:
    """Ask for one token until one comes: then the model is loaded, and its kernels are made."""
    body = {"model": model, "prompt": "a", "max_tokens": 1}
    while not _answers(host, port, body):
        if (code := child.poll()) is not None:
            raise ToolError(
                f"the server ended with {code} before it was ready",
                hint="`-v` shows all that it said",
            )
        time.sleep(0.1)


def _answers(host: str, port: int, body: Mapping[str, object]) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=600)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException):  # not yet
        return False
    finally:
        connection.close()
    if answer.status != 200:
        raise ToolError(
            f"the server answers with {answer.status}: {text[:200].decode('latin-1')}",
            hint="`-v` shows what it says",
        )
    return True


def _end(child: Process) -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    try:
        child.wait(PATIENCE)
    except Late:
        child.kill()
        child.wait()
