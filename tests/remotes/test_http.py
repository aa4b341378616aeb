"""What an http remote does when the other side is not as one would like it."""

from __future__ import annotations

import os
import ssl
import time
from contextlib import closing
from pathlib import Path

import pytest
from remotes import servers
from remotes.asking import NAME, source, unseen
from remotes.conftest import needs_nginx
from remotes.servers import Handler, odd_server

from cortexbuild.core.address import Address
from cortexbuild.errors import RemoteError
from cortexbuild.remotes import credentials, http, open_remote
from cortexbuild.remotes.http import HttpRemote

CONTENT = bytes(range(256)) * 5000


def remote_at(url: str, tmp_path: Path, **more: str) -> HttpRemote:
    remote = open_remote(Address.model_validate({"url": url, "name": "team", **more}), tmp_path)
    assert isinstance(remote, HttpRemote)
    return remote


def test_a_server_without_ranges_is_read_from_an_offset(tmp_path):
    with odd_server(lambda asked: asked.say(200, CONTENT)) as server:
        remote = remote_at(server.url, tmp_path)
        for start in (0, 1, 700_000, len(CONTENT), len(CONTENT) + 1):
            pieces = remote.read("cas", NAME, start)
            assert pieces is not None
            assert b"".join(pieces) == CONTENT[start:]


@pytest.mark.parametrize("said", ["bytes 6-9/10", "bytes 5-8/10", "", "items 5-9/10"])
def test_an_answer_that_is_not_the_range_asked_for_is_an_error(tmp_path, said):
    with odd_server(lambda asked: asked.say(206, b"12345", Content_Range=said)) as server:
        remote = remote_at(server.url, tmp_path)
        with pytest.raises(RemoteError, match="asked for bytes from 5 on, the answer is"):
            remote.read("cas", NAME, 5)


def test_a_server_that_stalls_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(http, "SILENCE", 0.2)
    monkeypatch.setattr(http, "SETTLED", 0.2)

    def stall(asked: Handler) -> None:
        if "ac" in asked.path:
            asked.say(200, b"some", Content_Length="5")
        asked.rfile.read(1)

    with odd_server(stall) as server:
        remote = remote_at(server.url, tmp_path)
        where = f"{server.url}/cas/{NAME}"
        with pytest.raises(RemoteError) as found:
            remote.sizes("cas", [NAME])
        assert (str(found.value), found.value.passing) == (f"HEAD {where}: no answer in time", True)
        with pytest.raises(RemoteError) as found:
            remote.write("cas", NAME, source(tmp_path), unseen)
        assert (str(found.value), found.value.passing) == (f"PUT {where}: no answer in time", True)
        pieces = remote.read("ac", NAME)
        assert pieces is not None
        with pytest.raises(RemoteError, match="no answer in time") as found:
            list(pieces)
        assert found.value.passing


def test_a_connection_that_drops_midway_is_passing(tmp_path):
    def drop(asked: Handler) -> None:
        asked.say(200, CONTENT, Content_Length=str(len(CONTENT) + 7))
        asked.close_connection = True

    with odd_server(drop) as server:
        pieces = remote_at(server.url, tmp_path).read("cas", NAME)
        assert pieces is not None
        with pytest.raises(RemoteError) as found:
            list(pieces)
    said = f"GET {server.url}/cas/{NAME}: the connection was lost: 7 bytes did not come"
    assert (str(found.value), found.value.passing) == (said, True)


def test_a_server_that_is_not_there_is_known_at_once_and_may_come_back(tmp_path):
    remote, begun = remote_at(f"http://127.0.0.1:{servers.free_port()}", tmp_path), time.monotonic()
    for ask in (
        lambda: remote.sizes("cas", [NAME]),
        lambda: remote.read("cas", NAME),
        lambda: remote.write("cas", NAME, source(tmp_path), unseen),
        lambda: remote.remove("cas", NAME),
        lambda: list(remote.entries("cas")),
    ):
        with pytest.raises(RemoteError, match="cannot be reached: Connection refused") as found:
            ask()
        assert found.value.passing
    assert time.monotonic() - begun < 5


def test_a_host_without_an_address(tmp_path):
    with pytest.raises(RemoteError, match="the host's name is not known"):
        remote_at("http://nothing.invalid", tmp_path).sizes("cas", [NAME])


@pytest.mark.parametrize(
    ("status", "words", "hint", "passing"),
    [
        (400, "400 Bad Request", "", False),
        (405, "405 Method Not Allowed", "dav_methods", False),
        (407, "407 Proxy Authentication Required", "HTTPS_PROXY", False),
        (408, "408 Request Timeout", "", True),
        (413, "413 Request Entity Too Large", "client_max_body_size 0", False),
        (429, "429 Too Many Requests", "", True),
        (500, "500 Internal Server Error", "", True),
        (501, "501 Not Implemented", "", False),
        (503, "503 Service Unavailable", "", True),
        (507, "507 Insufficient Storage", "its disk is full", False),
        (599, "599", "", True),
        (307, "307 Temporary Redirect", "the address that it points to", False),
    ],
)
def test_what_a_refusal_means(tmp_path, status, words, hint, passing):
    def refuse(asked: Handler) -> None:
        asked.rfile.read(5)
        asked.say(status, b"no", Location="/elsewhere")

    with odd_server(refuse) as server:
        with pytest.raises(RemoteError) as found:
            remote_at(server.url, tmp_path).write("cas", NAME, source(tmp_path), unseen)
        assert str(found.value) == f"PUT {server.url}/cas/{NAME}: {words}"
    assert (hint or "`cortexbuild doctor` tries each remote") in found.value.hint
    assert found.value.passing is passing


def test_a_redirect_is_followed_without_credentials(tmp_path, monkeypatch):
    monkeypatch.setenv("CORTEX_REMOTE_TEAM_TOKEN", "abc")
    with odd_server(lambda asked: asked.say(200, b"12")) as other:
        to = f"{other.url}/there"
        with odd_server(lambda asked: asked.say(302, Location=to)) as first:
            assert remote_at(first.url, tmp_path).sizes("cas", [NAME]) == {NAME: 2}
    (_, _, sent), (_, path, sent_on) = first.asked[0], other.asked[0]
    assert (sent["Authorization"], path) == ("Bearer abc", "/there")
    assert "Authorization" not in sent_on


def test_redirects_end(tmp_path):
    with odd_server(lambda asked: asked.say(302, Location=asked.path)) as server:
        with pytest.raises(RemoteError, match="redirected too often"):
            remote_at(server.url, tmp_path).read("cas", NAME)
        assert len(server.asked) == http.REDIRECTS + 1


def test_a_length_is_needed(tmp_path):
    def no_length(asked: Handler) -> None:
        asked.say(200, Content_Length="", Connection="close")

    with odd_server(no_length) as server, pytest.raises(RemoteError, match="how large it is"):
        remote_at(server.url, tmp_path).sizes("cas", [NAME])


def listed(*entries: str) -> bytes:
    return f"[{','.join(entries)}]".encode()


ENTRY = '{"name": "%s", "type": "file", "mtime": "%s", "size": %s}'
TIME = "Sun, 22 Nov 2026 10:00:00 GMT"


def test_a_listing_has_what_is_ours(tmp_path):
    text = listed(
        ENTRY % (NAME, TIME, "7"),
        ENTRY % ("../../etc/passwd", TIME, "7"),
        ENTRY % ("index.html", TIME, "7"),
        (ENTRY % ("cd" * 32, TIME, "7")).replace("file", "directory"),
    )
    with odd_server(lambda asked: asked.say(200, text)) as server:
        (found,) = remote_at(server.url, tmp_path).entries("cas")
    assert (found.name, found.size, found.modified) == (NAME, 7, 1795341600.0)


@pytest.mark.parametrize(
    ("status", "text", "why"),
    [
        (404, b"", "404 Not Found"),
        (403, b"", "403 Forbidden"),
        (200, b"<html>", "Expecting value"),
        (200, b"\xff", "can't decode"),
        (200, b"{}", "no list"),
        (200, b"[1]", "an entry without fields"),
        (200, b"[" * 100_000, "recursion"),
        (200, listed(ENTRY % (NAME, TIME, "-1")), "without a size or a time"),
        (200, listed(ENTRY % (NAME, TIME, "true")), "without a size or a time"),
        (200, listed(ENTRY % (NAME, "yesterday", "1")), "with the time `yesterday`"),
    ],
)
def test_a_server_that_does_not_list(tmp_path, status, text, why):
    said = f"does not list what it has: .*{why}"
    with (
        odd_server(lambda asked: asked.say(status, text)) as server,
        pytest.raises(RemoteError, match=said) as found,
    ):
        list(remote_at(server.url, tmp_path).entries("cas"))
    assert "autoindex_format json" in found.value.hint


def test_a_listing_without_an_end_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(http, "LONGEST", 1 << 20)
    with (
        odd_server(lambda asked: asked.say(200, b" " * (3 << 20))) as server,
        pytest.raises(RemoteError, match="a list of more than 1 MiB"),
    ):
        list(remote_at(server.url, tmp_path).entries("cas"))


@needs_nginx
@pytest.mark.parametrize("size", [5, 20 << 20])
def test_a_wrong_password(tmp_path, tls_folder, tls_url, monkeypatch, size):
    monkeypatch.setenv("CORTEX_REMOTE_TEAM_USER", servers.USER)
    monkeypatch.setenv("CORTEX_REMOTE_TEAM_PASSWORD", "a wrong word")
    remote = remote_at(tls_url, tls_folder, ca="ca.pem")
    with pytest.raises(RemoteError) as found:
        remote.write("cas", NAME, source(tmp_path, size), unseen)
    assert str(found.value) == f"PUT {tls_url}/cas/{NAME}: 401 Unauthorized"
    assert found.value.hint == (
        "credentials are looked for in CORTEX_REMOTE_TEAM_TOKEN, in CORTEX_REMOTE_TEAM_USER and "
        "CORTEX_REMOTE_TEAM_PASSWORD, and in ~/.netrc: those found were not taken"
    )
    assert remote.read("cas", NAME) is None  # everybody reads


@needs_nginx
def test_who_one_is_may_be_in_netrc(tmp_path, tls_folder, tls_url, monkeypatch):
    path = tmp_path / "elsewhere"
    path.write_text(f'machine 127.0.0.1 login {servers.USER} password "{servers.PASSWORD}"')
    monkeypatch.setenv("NETRC", str(path))
    assert remote_at(tls_url, tls_folder, ca="ca.pem").write("ac", NAME, source(tmp_path), unseen)


@needs_nginx
def test_a_server_that_is_not_trusted(tmp_path, tls_folder, tls_url, monkeypatch):
    with pytest.raises(RemoteError, match="not trusted: unable to get local issuer") as found:
        remote_at(tls_url, tmp_path).sizes("cas", [NAME])
    assert "name that in `ca:`" in found.value.hint and not found.value.passing
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_folder / "ca.pem"))
    assert remote_at(tls_url, tmp_path).sizes("cas", [NAME]) == {}


@needs_nginx
def test_not_every_server_speaks_tls(tmp_path, plain_url):
    with pytest.raises(RemoteError, match="TLS failed") as found:
        remote_at(plain_url.replace("http:", "https:"), tmp_path).sizes("cas", [NAME])
    assert found.value.hint == "is it an https server?"


def test_certificates_that_are_not_there(tmp_path):
    with pytest.raises(RemoteError, match=r"certs/ca.pem: no such file") as found:
        remote_at("https://127.0.0.1", tmp_path, ca="certs/ca.pem")
    assert "relative to cortex.yaml" in found.value.hint
    for content in ("", "no certificate\n", "\N{SNOWMAN}"):
        (tmp_path / "ca.pem").write_text(content)
        with pytest.raises(RemoteError, match="in PEM form"):
            remote_at("https://127.0.0.1", tmp_path, ca="ca.pem")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"CORTEX_REMOTE_TEAM_USER": "ci"}, "but not CORTEX_REMOTE_TEAM_PASSWORD"),
        ({"CORTEX_REMOTE_TEAM_TOKEN": "SECRET\nInjected: 1"}, "characters that no token has"),
        ({"NETRC": "none"}, "none: no such file, but NETRC names it"),
        ({"NETRC": "wrong"}, "wrong:2: not what a netrc file has"),
    ],
)
def test_credentials_that_cannot_be_used_are_not_shown(tmp_path, monkeypatch, environment, said):
    monkeypatch.chdir(tmp_path)
    Path("wrong").write_text("# a netrc\nSECRET\n")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RemoteError) as found:
        remote_at("http://127.0.0.1", tmp_path)
    assert said in str(found.value) and "SECRET" not in str(found.value)


def test_a_netrc_that_others_can_read_is_refused(tmp_path):
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login ci password SECRET\n")
    netrc.chmod(0o644)
    if os.name == "posix":
        with pytest.raises(RemoteError, match="access too permissive"):
            remote_at("http://127.0.0.1", tmp_path)


def test_a_proxy_is_asked_and_is_told_who_one_is(tmp_path, monkeypatch):
    with odd_server(lambda asked: asked.say(200, b"123")) as proxy:
        there = proxy.url.replace("//", "//me:s%40cret@")
        monkeypatch.setenv("http_proxy", there)
        assert remote_at("http://nothing.invalid/x", tmp_path).sizes("ac", [NAME]) == {NAME: 3}
        ((_, path, headers),) = proxy.asked
        assert path == f"http://nothing.invalid/x/ac/{NAME}"
        assert headers["proxy-authorization"] == "Basic bWU6c0BjcmV0"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with odd_server(lambda asked: asked.say(404)) as server:
            assert remote_at(server.url, tmp_path).sizes("ac", [NAME]) == {}
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(RemoteError, match="the proxy cannot be reached") as found:
        remote_at("http://nothing.invalid/x", tmp_path).sizes("ac", [NAME])
    assert "cret" not in str(found.value)
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    with pytest.raises(RemoteError, match="a proxy of the kind `socks5`"):
        remote_at("http://nothing.invalid/x", tmp_path)


@needs_nginx
def test_after_a_content_that_was_read_in_part_one_can_go_on(tmp_path, plain_url):
    remote = remote_at(plain_url, tmp_path)
    remote.write("cas", NAME, source(tmp_path, 20 << 20), unseen)
    for _ in range(3):
        pieces = remote.read("cas", NAME)
        assert pieces is not None
        with closing(pieces):
            next(pieces)
        assert remote.sizes("cas", [NAME]) == {NAME: 20 << 20}


@pytest.mark.parametrize("where", ["cafile", "capath", "nowhere"])
def test_authorities_are_the_machine_s_or_certifi_s(tmp_path, monkeypatch, where):
    """Python from python.org comes to a Mac without any."""
    own = {"cafile": str(tmp_path / "ca.pem"), "capath": str(tmp_path)}
    (tmp_path / "0a1b2c3d.0").touch()
    nothing = ssl.get_default_verify_paths()._replace(cafile=None, capath=None)
    paths = nothing._replace(**{where: own[where]}) if where in own else nothing
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    monkeypatch.setattr(ssl, "create_default_context", lambda: bare)
    credentials.open_pool(Address.model_validate({"url": "https://cache.example/cortex"}), tmp_path)
    assert bool(bare.get_ca_certs()) == (where == "nowhere")
