"""Files in the Hub's xet storage. There is no such storage here: its client is a fake."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from huggingface_hub import file_download

from cortexbuild.core.digest import Digest, File
from cortexbuild.sources.hf.xet import bring_by_xet

CONTENT = b"weights" * 100
FILE = File("model.safetensors", Digest("0" * 64), len(CONTENT))


@pytest.fixture
def part(tmp_path, monkeypatch):
    monkeypatch.setattr(file_download, "is_xet_available", lambda: True)
    known = SimpleNamespace(xet_file_data="the file")
    monkeypatch.setattr(file_download, "get_hf_file_metadata", lambda url, headers: known)
    path = tmp_path / "file.part"
    path.touch()
    return path


def brings(monkeypatch, content, error=None):
    asked = []

    def get(*, incomplete_path, **how):
        asked.append(how)
        incomplete_path.write_bytes(content)
        if error is not None:
            raise error

    monkeypatch.setattr(file_download, "xet_get", get)
    return asked


def test_what_is_in_xet_comes_from_there(part, monkeypatch):
    asked = brings(monkeypatch, CONTENT)
    assert bring_by_xet(FILE, "http://hub/file", {"authorization": "Bearer x"}, part)
    assert part.read_bytes() == CONTENT
    assert asked[0]["xet_file_data"] == "the file" and asked[0]["expected_size"] == len(CONTENT)
    assert asked[0]["headers"] == {"authorization": "Bearer x"}


@pytest.mark.parametrize("error", [RuntimeError("no storage"), OSError("reset")])
def test_when_it_fails_nothing_of_it_stays_and_http_takes_over(part, monkeypatch, error):
    brings(monkeypatch, CONTENT[:50], error)
    assert not bring_by_xet(FILE, "http://hub/file", {}, part)
    assert part.read_bytes() == b""


def test_what_http_began_and_what_is_not_in_xet_is_left_to_http(part, monkeypatch):
    asked = brings(monkeypatch, CONTENT)
    part.write_bytes(b"some")
    assert not bring_by_xet(FILE, "http://hub/file", {}, part)
    assert part.read_bytes() == b"some"
    part.write_bytes(b"")
    plain = SimpleNamespace(xet_file_data=None)
    monkeypatch.setattr(file_download, "get_hf_file_metadata", lambda url, headers: plain)
    assert not bring_by_xet(FILE, "http://hub/file", {}, part)
    assert asked == []
