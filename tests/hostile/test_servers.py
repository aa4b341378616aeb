"""Servers that lie: about lengths, about what a file is, about how much of it there is."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import Hub
from remotes.servers import odd_server
from remotes.test_http import remote_at

from cortexbuild.core.digest import File, Tree
from cortexbuild.core.lock import Pinned
from cortexbuild.errors import CortexError, IntegrityError, RemoteError
from cortexbuild.sources import _network
from cortexbuild.sources._download import wait
from cortexbuild.sources.hf import origin, remote
from cortexbuild.sources.https import fetch, pin

NAME = "ab" * 32
LONG = "9" * 5000
"""A number that Python refuses to read."""
ZEROS = gzip.compress(bytes(64 << 20))
"""64 kB that unpack to a thousand times as much."""


class Kept:
    """Where a source brings its files to, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def part(self, file: File) -> Path:
        return self._folder / "part"

    def moved(self, count: int) -> None:
        """Nobody watches."""

    def take(self, path: str, part: Path) -> None:
        (self._folder / path).write_bytes(part.read_bytes())


@pytest.mark.parametrize("said", [LONG, "-1", "1_0", "²", "0x10"])
def test_a_length_that_is_no_number_is_an_error(tmp_path: Path, said: str) -> None:
    with (
        odd_server(lambda asked: asked.say(200, b"", Content_Length=said)) as server,
        pytest.raises(RemoteError, match="does not say how large|connection was lost"),
    ):
        remote_at(server.url, tmp_path).sizes("cas", [NAME])


@pytest.mark.parametrize("said", [f"bytes 5-9/{LONG}", f"bytes {LONG}-9/10"])
def test_a_range_that_is_no_number_is_an_error(tmp_path: Path, said: str) -> None:
    with (
        odd_server(lambda asked: asked.say(206, b"12345", Content_Range=said)) as server,
        pytest.raises(RemoteError, match="asked for bytes from 5 on") as error,
    ):
        remote_at(server.url, tmp_path).read("cas", NAME, 5)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("said", ["²", LONG, "1e9", "-5", "soon"])
def test_a_wait_that_is_no_number_is_our_own(said: str) -> None:
    class Answered(Exception):
        response = type("Answer", (), {"headers": {"Retry-After": said}})

    assert wait(Answered(), 0) == 0.5


@pytest.mark.parametrize("said", [LONG, "many"])
def test_the_length_of_a_file_that_is_no_number_is_an_error(said: str) -> None:
    with (
        odd_server(lambda asked: asked.say(200, b"", Content_Length=said)) as server,
        pytest.raises(RemoteError, match="how large it is|could not be reached"),
    ):
        pin(f"{server.url}/m.gguf#sha256={NAME}", Path(), None)  # type: ignore[arg-type]


def test_what_is_packed_unasked_is_not_unpacked_beyond_what_was_pinned(tmp_path: Path) -> None:
    packed = lambda asked: asked.say(200, ZEROS, Content_Encoding="gzip")  # noqa: E731
    with odd_server(packed) as server:
        url = f"{server.url}/m.gguf"
        tree = Tree.of([File("m.gguf", hashlib.sha256(b"x").hexdigest(), len(ZEROS))])  # type: ignore[arg-type]
        pinned = Pinned(f"{url}#sha256={NAME}", tree, {})
        with pytest.raises(CortexError, match="more comes than the|could not be fetched"):
            fetch(pinned, tmp_path, Kept(tmp_path))  # type: ignore[arg-type]
        assert (tmp_path / "part").stat().st_size <= len(ZEROS)
        _, content = _network.content_of(url, {}, len(ZEROS))
        assert content == ZEROS, "it is taken as it comes"
        with pytest.raises(RemoteError, match="more comes than the 1000 bytes"):
            _network.content_of(url, {}, 1000)


def test_a_server_that_knows_no_ranges_gives_no_more_than_is_asked_for() -> None:
    content = bytes(range(256)) * 8
    with odd_server(lambda asked: asked.say(200, content)) as server:
        with _network.open_by_ranges(server.url, len(content), {}) as stream:
            assert stream.read(300) == content[:300]
            assert stream.read(5) == content[300:305]
        with _network.open_by_ranges(server.url, _network.MOST_WHOLE + 1, {}) as stream:
            stream.seek(_network.MOST_WHOLE)
            with pytest.raises(RemoteError, match="more comes than the 1 bytes"):
                stream.read(1)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    with Hub() as hub:
        template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield hub


def look(hub: Hub, file: str = "") -> Pinned:
    asked = origin.Origin("org/model", file=file)
    return remote.look_at("hf:org/model", asked, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("said", ["../../../../tmp/evil", "A" * 64, "0" * 63, ""])
def test_a_sha256_that_is_none_names_no_file_here(hub: Hub, said: str) -> None:
    sha = hub.commit("org/model", {"config.json": b"{}", "model.safetensors": b"x" * 200})
    hub.repos["org/model"].commits[sha]["model.safetensors"].__dict__["sha256"] = said
    with pytest.raises(IntegrityError, match="hf:org/model: `model.safetensors`: .* is no sha256"):
        look(hub)


@pytest.mark.parametrize(
    "name", ["../up.gguf", "/root.gguf", "a/../../b.gguf", "C:\\x.gguf", "a\nb.gguf", "a\x1b[2J.gguf",
             "c" * 300 + ".gguf", "a//b.gguf"],
)  # fmt: skip
def test_a_repositorys_file_has_a_name_that_stays_in_its_folder(hub: Hub, name: str) -> None:
    hub.commit("org/model", {name: b"GGUF" + bytes(20)}, lfs=("*",))
    with pytest.raises(CortexError) as error:
        look(hub, file=name)
    assert str(error.value).isprintable() and "hf:org/model" in str(error.value)
