"""What a bucket's client does when the other side is not as one would like it."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from remotes import servers
from remotes.asking import NAME, source, unseen
from remotes.conftest import BUCKET, KEYS
from remotes.servers import Handler, odd_server

from cortexbuild.core.address import Address
from cortexbuild.errors import RemoteError
from cortexbuild.remotes import objects, open_remote, ranges
from cortexbuild.remotes.objects import ObjectRemote

EMPTY = b"""<?xml version="1.0"?><ListBucketResult><Name>b</Name><Prefix></Prefix>
<KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>"""


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


def remote_at(endpoint: str, tmp_path: Path, **more: str) -> ObjectRemote:
    address = Address(url=f"s3://{BUCKET}/x", endpoint=endpoint, region="us-east-1", **more)
    remote = open_remote(address, tmp_path)
    assert isinstance(remote, ObjectRemote)
    return remote


def refusal(status: int, code: str) -> tuple[int, bytes]:
    return status, f"<Error><Code>{code}</Code><Message>In words</Message></Error>".encode()


def test_a_bucket_that_is_not_there_is_no_empty_cache(tmp_path, endpoint):
    address = Address(url="s3://nothing/x", endpoint=endpoint, region="us-east-1")
    remote = open_remote(address, tmp_path)
    for ask in (
        lambda: remote.sizes("cas", [NAME]),
        lambda: remote.read("cas", NAME),
        lambda: remote.write("cas", NAME, source(tmp_path), unseen),
        lambda: remote.remove("cas", NAME),
        lambda: list(remote.entries("cas")),
    ):
        with pytest.raises(RemoteError, match="s3://nothing/x: there is no bucket `nothing`"):
            ask()


def test_an_endpoint_that_is_not_there_is_told_of_soon(tmp_path):
    begun = time.monotonic()
    with pytest.raises(RemoteError) as found:
        remote_at(f"http://127.0.0.1:{servers.free_port()}", tmp_path).sizes("cas", [NAME])
    assert str(found.value) == f"s3://{BUCKET}/x: cannot be reached: Connection refused"
    assert found.value.passing and time.monotonic() - begun < 15


def test_an_endpoint_that_stalls(tmp_path, monkeypatch):
    monkeypatch.setattr(objects, "ASKING", replace(objects.ASKING, retries=0, silence=0.3))

    def stall(asked: Handler) -> None:
        asked.rfile.read(1)

    with odd_server(stall) as server, pytest.raises(RemoteError, match="no answer in") as found:
        remote_at(server.url, tmp_path).sizes("cas", [NAME])
    assert found.value.passing


@pytest.mark.parametrize(
    ("status", "code", "said", "hint"),
    [
        (403, "SignatureDoesNotMatch", "403 Forbidden: SignatureDoesNotMatch: In words", "AWS_PROFILE"),
        (403, "InvalidAccessKeyId", "403 Forbidden: InvalidAccessKeyId: In words", "AWS_PROFILE"),
        (400, "AuthorizationHeaderMalformed", "400 Bad Request: AuthorizationHeaderMalformed", ""),
        (301, "PermanentRedirect", "the bucket is in another region", "write its `region:`"),
    ],
)  # fmt: skip
def test_what_a_refusal_means(tmp_path, status, code, said, hint):
    def refuse(asked: Handler) -> None:
        asked.say(*refusal(status, code))

    with odd_server(refuse) as server, pytest.raises(RemoteError) as found:
        remote_at(server.url, tmp_path).sizes("cas", [NAME])
    assert str(found.value).startswith(f"s3://{BUCKET}/x: {said}")
    assert hint in found.value.hint and not found.value.passing


def test_who_may_not_list_may_read(tmp_path):
    def get_only(asked: Handler) -> None:
        if NAME not in asked.path:
            asked.say(*refusal(403, "AccessDenied"))
        elif asked.command == "HEAD":
            asked.say(200, b"12345", Last_Modified="Sun, 22 Nov 2026 10:00:00 GMT")
        else:
            headers = {"Content_Range": "bytes 0-4/5", "ETag": '"1"'}
            asked.say(206, b"12345", Last_Modified="Sun, 22 Nov 2026 10:00:00 GMT", **headers)

    with odd_server(get_only) as server:
        remote = remote_at(server.url, tmp_path)
        assert remote.sizes("cas", [NAME]) == {NAME: 5}
        pieces = remote.read("cas", NAME)
        assert pieces is not None and b"".join(pieces) == b"12345"
        with pytest.raises(RemoteError, match="AccessDenied"):
            list(remote.entries("cas"))


def test_entries_have_what_is_ours(tmp_path):
    keys = (f"x/cas/{NAME}", "x/cas/README", f"x/cas/deeper/{NAME}", "x/cas/" + "AB" * 32)
    listed = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-11-22T10:00:00.000Z</LastModified>"
        "<Size>7</Size></Contents>"
        for key in keys
    )
    text = EMPTY.replace(b"</ListB", listed.encode() + b"</ListB")
    with odd_server(lambda asked: asked.say(200, text)) as server:
        (found,) = remote_at(server.url, tmp_path).entries("cas")
    assert (found.name, found.size, found.modified) == (NAME, 7, 1795341600.0)


def test_a_content_that_is_replaced_while_it_is_read(tmp_path, endpoint, monkeypatch):
    monkeypatch.setattr(ranges, "TRIED", 1 << 20)
    monkeypatch.setattr(ranges, "ENOUGH", 1 << 60)
    remote = remote_at(endpoint, tmp_path)
    size = ranges.RANGE * (ranges.WINDOW + 2)
    remote.write("cas", NAME, source(tmp_path, size), unseen)
    pieces = remote.read("cas", NAME)
    assert pieces is not None and next(pieces) and next(pieces)
    (tmp_path / "source").write_bytes(b"y" * size)
    remote.write("cas", NAME, tmp_path / "source", unseen)
    with pytest.raises(RemoteError, match="changed while it was read") as found:
        list(pieces)
    assert found.value.passing


def test_an_authority_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setattr(objects, "ASKING", replace(objects.ASKING, retries=0))
    ca, certificate, key = (tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem"))
    servers.certify(ca, certificate, key)
    with odd_server(lambda asked: asked.say(200, EMPTY), tls=(certificate, key)) as server:
        with pytest.raises(RemoteError, match="not trusted: UnknownIssuer") as found:
            remote_at(server.url, tmp_path).entries("cas").__next__()
        assert "name that in `ca:`" in found.value.hint
        assert list(remote_at(server.url, tmp_path, ca="ca.pem").entries("cas")) == []


def test_a_profile_says_who_one_is(tmp_path, monkeypatch):
    for name in KEYS:
        monkeypatch.delenv(name)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = usual\naws_secret_access_key = secret\n"
        "[work]\naws_access_key_id = special\naws_secret_access_key = secret\n"
    )
    with odd_server(lambda asked: asked.say(200, EMPTY)) as server:
        list(remote_at(server.url, tmp_path).entries("cas"))
        monkeypatch.setenv("AWS_PROFILE", "work")
        list(remote_at(server.url, tmp_path).entries("cas"))
        signed = [headers["authorization"] for _, _, headers in server.asked]
    assert "Credential=usual/" in signed[0] and "Credential=special/" in signed[-1]
    monkeypatch.setenv("AWS_PROFILE", "play")
    with pytest.raises(RemoteError, match=r"The config profile \(play\) could not be found"):
        remote_at("http://127.0.0.1:1", tmp_path)


def test_a_bucket_in_the_hosts_name(tmp_path, monkeypatch):
    """A proxy is told the name of the host, so none has to be known to this machine."""
    with odd_server(lambda asked: asked.say(200, EMPTY)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        address = Address(url=f"s3://{BUCKET}/x", endpoint="http://s3.invalid", path_style=False)
        assert list(open_remote(address, tmp_path).entries("cas")) == []
    assert proxy.asked[0][1].startswith(f"http://{BUCKET}.s3.invalid/?list-type=2")


@pytest.mark.parametrize("url", ["gs://bucket/x", "az://container/x"])
def test_other_clouds_need_to_be_told_who_one_is(tmp_path, url):
    """No more than that can be seen without an account there."""
    try:
        remote = open_remote(Address(url=url), tmp_path)
    except RemoteError as error:
        assert "Account must be specified" in str(error)
    else:
        assert isinstance(remote, ObjectRemote)


def test_without_the_library_one_is_told_what_to_install(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nsys.modules['obstore'] = None\n"
        "from cortexbuild.core.address import Address\n"
        "from cortexbuild.errors import RemoteError\nfrom cortexbuild.remotes import open_remote\n"
        "try:\n    open_remote(Address(url='s3://bucket'), Path())\n"
        "except RemoteError as error:\n    print(error, error.hint, sep='|')\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = "s3://bucket: s3:// needs a library that is not installed|`pip install 'cortexbuild[cloud]'`"
    assert said.stdout.strip() == expected
