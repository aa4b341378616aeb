"""Servers on this machine: nginx as the guide configures it, an S3, and ones that misbehave."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "share-a-cache-with-nginx.md"
NAMES = ("nginx", "/usr/sbin/nginx", "/opt/homebrew/bin/nginx", "/usr/local/bin/nginx")
USER, PASSWORD = "ci", "a word that is secret"

AROUND = """
daemon off;
worker_processes 1;
{user}
pid {folder}/pid;
events {{ worker_connections 256; }}
http {{
access_log off;
client_body_temp_path {folder}/temp/body;
proxy_temp_path {folder}/temp/proxy;
fastcgi_temp_path {folder}/temp/fastcgi;
uwsgi_temp_path {folder}/temp/uwsgi;
scgi_temp_path {folder}/temp/scgi;
{server}
}}
"""


def find_nginx() -> str | None:
    """The web server of this machine; `NGINX` says another."""
    named = [os.environ.get("NGINX", ""), *(shutil.which(name) or "" for name in NAMES)]
    return next((path for path in named if path and Path(path).exists()), None)


def guide_blocks() -> list[str]:
    """The configurations in the guide: with TLS and passwords, and without."""
    return re.findall(r"```nginx\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def nginx(folder: Path, block: str, changes: Mapping[str, str]) -> Iterator[int]:
    """A running nginx, whose files are in `folder`; gives its port."""
    program = find_nginx()
    assert program is not None
    (folder / "temp").mkdir(parents=True)
    port = free_port()
    for old, new in {**changes, "listen ": f"listen 127.0.0.1:{port}; #"}.items():
        assert old in block, f"the guide has no `{old}`"
        block = block.replace(old, new)
    block = re.sub(r"(listen 127[^;]+); # *(\d+)( ssl)?;", r"\1\3;", block)
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(AROUND.format(folder=folder, server=block, user=user))
    log = folder / "error.log"
    with running([program, "-p", str(folder), "-e", str(log), "-c", str(config)], port, log):
        yield port


@contextmanager
def plain_nginx(folder: Path) -> Iterator[str]:
    (folder / "srv" / "cortex").mkdir(parents=True)
    with nginx(folder, guide_blocks()[1], {"/srv": f"{folder}/srv"}) as port:
        yield f"http://127.0.0.1:{port}/cortex"


@contextmanager
def tls_nginx(folder: Path) -> Iterator[str]:
    """Its authority's certificate is `folder`/ca.pem; writing needs USER and PASSWORD."""
    (folder / "srv" / "cortex").mkdir(parents=True)
    (folder / "etc").mkdir()
    certify(folder / "ca.pem", folder / "etc" / "cert.pem", folder / "etc" / "key.pem")
    digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
    (folder / "etc" / "writers").write_text(f"{USER}:{{SHA}}{digest}\n")
    changes = {"/srv": f"{folder}/srv", "/etc/nginx/cortex/": f"{folder}/etc/"}
    with nginx(folder, guide_blocks()[0], changes) as port:
        yield f"https://127.0.0.1:{port}/cortex"


@contextmanager
def moto(folder: Path, bucket: str) -> Iterator[str]:
    """An S3 with a bucket, in a process of its own; gives its endpoint."""
    port = free_port()
    code = f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
    with running([sys.executable, "-W", "ignore", "-c", code], port, folder / "moto.log"):
        endpoint = f"http://127.0.0.1:{port}"
        ask = urllib.request.Request(f"{endpoint}/{bucket}", method="PUT")
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(ask, timeout=30).close()
        yield endpoint


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    with log.open("ab") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while True:
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        self.server.asked.append((self.command, self.path, dict(self.headers)))
        self.server.answer(self)

    do_HEAD = do_PUT = do_DELETE = do_GET

    def say(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class Server(ThreadingHTTPServer):
    """Answers as a test says. `asked` has what it was asked: method, path, headers."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, answer: Callable[[Handler], None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.open: list[socket.socket] = []

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        self.open.append(connection)
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what some tests are about."""


@contextmanager
def odd_server(
    answer: Callable[[Handler], None], tls: tuple[Path, Path] | None = None
) -> Iterator[Server]:
    server = Server(answer)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.url = server.url.replace("http:", "https:")
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        for connection in server.open:  # kept ones wait for a request: end them, and their threads
            with ExitStack() as quiet:
                quiet.push(lambda kind, *_: kind is not None and issubclass(kind, OSError))
                connection.shutdown(socket.SHUT_RDWR)
        server.server_close()


def certify(ca: Path, certificate: Path, key: Path) -> None:
    """An authority, and what it certifies: that a key is of 127.0.0.1."""
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
        for text in ("an authority of a test", "127.0.0.1")
    ]
    for which, path in ((0, ca), (1, certificate)):
        is_authority, now = which == 0, datetime.now(UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(names[which])
            .issuer_name(names[0])
            .public_key(keys[which].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
                critical=False,
            )
        )
        path.write_bytes(built.sign(keys[0], hashes.SHA256()).public_bytes(Encoding.PEM))
    pem = keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key.write_bytes(pem)


if __name__ == "__main__":  # for the Makefile: is there one?
    sys.exit(0 if find_nginx() else 1)
