"""HTTP: connections that are kept, parts of a body, and the faults that a test asked for."""

from __future__ import annotations

import os
import re
import socket
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from hub.model import Answer, Cut, Drop, Fault, Flip, Refused, Request, Slow, Status

if TYPE_CHECKING:
    from hub import Hub

PIECE = 1 << 16


class Server(ThreadingHTTPServer):
    """One port of a hub. It stops without leaving a thread or a socket."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.thread = Thread(target=self.serve_forever, args=(0.02,), name="hub")
        self.thread.start()

    def server_bind(self) -> None:
        """Without the look-up of the host's name, which may be slow."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may go away; anything else is the hub's own error, for the test to see."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, ConnectionError):
            self.hub.errors.append(error)

    def stop(self) -> None:
        """Kept connections wait for a request: end them, and so their threads."""
        self.shutdown()
        self.thread.join()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed: `hub.log` has it."""

    def do_GET(self) -> None:
        hub = self.server.hub
        body = self._body()
        path, _, query = self.path.partition("?")
        _, _, token = self.headers.get("Authorization", "").partition(" ")
        asked = _asked(self.headers.get("Range", ""))
        request = Request(self.command, unquote(path), query, asked, token or None)
        fault = hub.arrives(request)
        if isinstance(fault, Slow):
            hub.stopping.wait(fault.seconds)
        if body and "urlencoded" in self.headers.get("Content-Type", ""):
            query, body = f"{query}&{body.decode()}", b""
        answer = _spoiled(hub.answer(self.command, path, query, request.token, body), fault)
        if answer.etag:
            whole = self.headers.get("If-Range", f'"{answer.etag}"') != f'"{answer.etag}"'
            answer = _part(answer, None if whole else asked)
        self._send(request, answer, fault if isinstance(fault, Drop) else None)

    do_HEAD = do_POST = do_PUT = do_GET

    def _body(self) -> bytes:
        """An upload comes in chunks when the client streams it."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _send(self, request: Request, answer: Answer, drop: Drop | None) -> None:
        request.status = answer.status
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        end = len(answer.body) if drop is None else min(drop.after, len(answer.body))
        if self.command == "HEAD":
            end = 0
        for start in range(0, end, PIECE):
            piece = answer.body[start : min(start + PIECE, end)]
            request.sent += len(piece)  # first: a client that has it all may look at the log
            self.wfile.write(piece)
        if drop is not None:
            self.close_connection = True
            if drop.reset:
                self._reset()

    def _reset(self) -> None:
        """Closed with no time to linger, a socket sends RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())


def _asked(header: str) -> tuple[int | None, int | None] | None:
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header)
    if match is None or header == "bytes=-":
        return None
    first, last = (int(text) if text else None for text in match.groups())
    return first, last


def _spoiled(answer: Answer, fault: Fault | None) -> Answer:
    """With another status, or a body that is not what it should be."""
    match fault:
        case Status(code, retry_after, error_code):
            answer = Refused(code, error_code, f"A test asked for {code}").answer
            if retry_after is not None:
                answer.headers["Retry-After"] = str(retry_after)
        case Flip(at) if at < len(answer.body):
            body = bytearray(answer.body)
            body[at] ^= 0xFF
            answer.body = bytes(body)
        case Cut(by):
            answer.body = answer.body[: max(0, len(answer.body) - by)]
    return answer


def _part(answer: Answer, asked: tuple[int | None, int | None] | None) -> Answer:
    """206 with the bytes asked for, 416 where there are none, all of them if none were named."""
    size = len(answer.body)
    headers = answer.headers | {"ETag": f'"{answer.etag}"', "Accept-Ranges": "bytes"}
    headers.setdefault("Content-Type", "application/octet-stream")
    if asked is None:
        return Answer(answer.status, answer.body, headers)
    first, last = asked
    start = max(0, size - (last or 0)) if first is None else first
    end = size if first is None or last is None else min(last + 1, size)
    if start >= end:
        return Answer(416, b"", headers | {"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return Answer(206, answer.body[start:end], headers)
