"""A server that ends when it has answered: whoever waits until it is ready has seen all of it."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


HTTPServer((sys.argv[1], int(sys.argv[2])), Handler).handle_request()
