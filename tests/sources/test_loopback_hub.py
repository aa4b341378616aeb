"""The loopback hub, proved with the real client; and what that client does when things go wrong."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub import Cut, Drop, Flip, Hub, Slow, Status

huggingface_hub = pytest.importorskip("huggingface_hub")

import httpx2  # noqa: E402
from huggingface_hub import (  # noqa: E402
    HfApi,
    constants,
    file_download,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    snapshot_download,
)
from huggingface_hub.errors import (  # noqa: E402
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder  # noqa: E402
from huggingface_hub.utils import _http, close_session  # noqa: E402

REPO = "org/model"
WEIGHTS = bytes(range(256)) * 1200
FILES = {
    "config.json": b'{"text": 1}',
    "model.safetensors": WEIGHTS,
    "a/b/notes.txt": b"deep",
    "README.md": b"# hi",
}
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
CHUNK = 10 << 20


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[float]]:
    """No token, proxy or telemetry of this machine; how long the client waits, without the wait."""
    waits: list[float] = []
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for module in (file_download, _http):
        monkeypatch.setattr(module, "time", SimpleNamespace(sleep=waits.append))
    close_session()
    yield waits
    close_session()


@pytest.fixture
def get(hub: Hub, tmp_path: Path) -> Callable[..., Path]:
    def get(name: str = "model.safetensors", **more: object) -> Path:
        cache = tmp_path / "cache"
        return Path(hf_hub_download(REPO, name, endpoint=hub.url, cache_dir=cache, **more))

    return get


def asked(hub: Hub) -> list[tuple[str, str, int]]:
    return [(each.method, each.path, each.status) for each in hub.log]


def test_info_and_tree_give_sizes_and_the_sha256_of_lfs_files(hub: Hub) -> None:
    sha = hub.commit(REPO, FILES)
    hub.repos[REPO].card = {"license": "apache-2.0"}
    api = HfApi(endpoint=hub.url)
    info = api.model_info(REPO, files_metadata=True)
    assert (info.sha, info.gated, info.private) == (sha, False, False)
    assert info.card_data.license == "apache-2.0" and info.tags == ["license:apache-2.0"]
    assert info.last_modified.year == 2024
    listed = {each.rfilename: each for each in info.siblings}
    assert {name: each.size for name, each in listed.items()} == {
        name: len(data) for name, data in FILES.items()
    }
    assert listed["model.safetensors"].lfs.sha256 == SHA256
    assert listed["config.json"].lfs is None
    rows = list(api.list_repo_tree(REPO, recursive=True, revision=sha))
    files = {each.path: each for each in rows if isinstance(each, RepoFile)}
    assert files["model.safetensors"].lfs.sha256 == SHA256
    assert {name: each.blob_id for name, each in files.items()} == {
        name: each.blob_id for name, each in listed.items()
    }
    assert [each.path for each in rows if isinstance(each, RepoFolder)] == ["a", "a/b"]
    assert [each.path for each in api.list_repo_tree(REPO, "a/b")] == ["a/b/notes.txt"]
    assert [each.path for each in api.list_repo_tree(REPO)] == [
        "README.md",
        "a",
        "config.json",
        "model.safetensors",
    ]
    assert api.repo_info(REPO).siblings[0].size is None
    assert [each.path for each in api.get_paths_info(REPO, ["config.json", "a", "no"])] == [
        "config.json",
        "a",
    ]
    with pytest.raises(RemoteEntryNotFoundError):
        list(api.list_repo_tree(REPO, "nowhere"))


def test_a_small_files_id_is_gits(hub: Hub, tmp_path: Path) -> None:
    hub.commit(REPO, FILES)
    (tmp_path / "f").write_bytes(FILES["config.json"])
    done = subprocess.run(["git", "hash-object", tmp_path / "f"], capture_output=True, text=True)
    (file,) = HfApi(endpoint=hub.url).get_paths_info(REPO, "config.json")
    assert file.blob_id == done.stdout.strip()


def test_a_tree_of_two_pages(hub: Hub) -> None:
    hub.page = 4
    hub.commit(REPO, FILES)
    rows = list(HfApi(endpoint=hub.url).list_repo_tree(REPO, recursive=True))
    assert len(rows) == 6
    assert [each.query for each in hub.log] == [
        "recursive=true&expand=false",
        "recursive=true&expand=false&cursor=4",
    ]


def test_refs_search_whoami_and_names_with_a_slash(hub: Hub) -> None:
    first = hub.commit(REPO, FILES)
    second = hub.commit(REPO, {"config.json": b"2"}, branch="try/this")
    hub.tag(REPO, "v1", first)
    hub.commit("org/model-instruct", FILES)
    hub.commit("org/model-secret", FILES, private=True)
    hub.commit("gpt", FILES)
    api = HfApi(endpoint=hub.url)
    refs = api.list_repo_refs(REPO)
    assert {each.name: each.target_commit for each in refs.branches} == {
        "main": first,
        "try/this": second,
    }
    assert [(each.ref, each.target_commit) for each in refs.tags] == [("refs/tags/v1", first)]
    assert api.model_info(REPO, revision="try/this").sha == second
    assert [each.path for each in api.list_repo_tree(REPO, revision="try/this")] == ["config.json"]
    assert api.model_info("gpt").id == "gpt"
    found = [each.id for each in api.list_models(search="model org", limit=5)]
    assert found == ["org/model", "org/model-instruct"]
    assert api.whoami(token="anyone")["name"] == "tester"
    hub.revoked.add("old")
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        api.whoami(token="old")
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        api.model_info(REPO, token="old")


def test_a_download_of_each_kind(hub: Hub, get: Callable[..., Path]) -> None:
    """LFS: the Hub names another host, and the client asks that one, without its token."""
    sha = hub.commit(REPO, FILES)
    big = get(token="mine")
    assert big.read_bytes() == WEIGHTS
    assert asked(hub) == [
        ("HEAD", "/org/model/resolve/main/model.safetensors", 302),
        ("GET", f"/cdn/{SHA256}", 200),
    ]
    assert [each.token for each in hub.log] == ["mine", None]
    assert [each.sent for each in hub.log] == [0, len(WEIGHTS)]
    hub.log.clear()
    small = get("config.json")
    assert asked(hub) == [
        ("HEAD", "/org/model/resolve/main/config.json", 200),
        ("GET", "/org/model/resolve/main/config.json", 200),
    ]
    root = small.parent.parent.parent
    assert root.name == "models--org--model" and small.parent.name == sha
    assert (root / "refs/main").read_text() == sha
    oid = hashlib.sha1(b"blob 11\0" + FILES["config.json"]).hexdigest()
    assert {each.name for each in (root / "blobs").iterdir()} == {SHA256, oid}
    assert big.resolve().name == SHA256


def test_metadata_of_a_file(hub: Hub) -> None:
    sha = hub.commit(REPO, FILES)
    url = hf_hub_url(REPO, "model.safetensors", endpoint=hub.url)
    big = get_hf_file_metadata(url)
    assert (big.commit_hash, big.etag, big.size) == (sha, SHA256, len(WEIGHTS))
    assert big.location.startswith(f"{hub.cdn}/cdn/{SHA256}?") and big.xet_file_data is None
    url = hf_hub_url(REPO, "a/b/notes.txt", revision=sha, endpoint=hub.url)
    small = get_hf_file_metadata(url)
    assert (small.commit_hash, small.size, small.location) == (sha, 4, url)
    with pytest.raises(RemoteEntryNotFoundError):
        get_hf_file_metadata(hf_hub_url(REPO, "no.json", endpoint=hub.url))


def test_a_snapshot_at_a_commit(hub: Hub, tmp_path: Path) -> None:
    """One listing; then, of each file, HEAD and GET. A second time nothing is asked at all."""
    old = hub.commit(REPO, FILES)
    new = hub.commit(REPO, {"config.json": b"new"})
    settings = {"endpoint": hub.url, "cache_dir": tmp_path, "ignore_patterns": ["README*"]}
    at = Path(snapshot_download(REPO, revision=old, **settings))
    assert {each.relative_to(at).as_posix() for each in at.rglob("*") if each.is_file()} == {
        "config.json",
        "model.safetensors",
        "a/b/notes.txt",
    }
    assert at.name == old and hub.log[0].path == f"/api/models/org/model/tree/{old}"
    assert sorted(each.method for each in hub.log[1:]) == ["GET"] * 3 + ["HEAD"] * 3
    hub.log.clear()
    assert Path(snapshot_download(REPO, revision=old, **settings)) == at
    assert hub.log == []
    at = Path(snapshot_download(REPO, **settings))
    assert at.name == new and (at / "config.json").read_bytes() == b"new"
    assert hub.log[0].path == "/api/models/org/model/revision/main"


def test_a_branch_moves_and_its_old_commit_stays(hub: Hub, get: Callable[..., Path]) -> None:
    old = hub.commit(REPO, {"config.json": b"old"})
    assert get("config.json").read_bytes() == b"old"
    new = hub.commit(REPO, {"config.json": b"new"})
    api = HfApi(endpoint=hub.url)
    assert new != old and api.model_info(REPO).sha == new
    assert api.model_info(REPO, revision=old).sha == old
    assert get("config.json").read_bytes() == b"new"
    assert get("config.json", revision=old).read_bytes() == b"old"
    with Hub() as again:
        assert again.commit(REPO, {"config.json": b"old"}) == old
        assert again.commit(REPO, {"config.json": b"new"}) == new


def test_what_is_gone(hub: Hub, get: Callable[..., Path], tmp_path: Path) -> None:
    old = hub.commit(REPO, FILES)
    hub.tag(REPO, "v1", old)
    hub.commit(REPO, {"config.json": b"new"})
    hub.delete_revision(REPO, old)
    api = HfApi(endpoint=hub.url)
    for revision in (old, "v1"):
        with pytest.raises(RevisionNotFoundError):
            api.model_info(REPO, revision=revision)
        with pytest.raises(RevisionNotFoundError):
            get("config.json", revision=revision)
        with pytest.raises(RevisionNotFoundError):
            snapshot_download(REPO, revision=revision, endpoint=hub.url, cache_dir=tmp_path)
    with pytest.raises(RemoteEntryNotFoundError):
        get("model.safetensors")
    hub.repos[REPO].disabled = True
    with pytest.raises(DisabledRepoError):
        api.model_info(REPO)
    hub.delete_repo(REPO)
    for token, status in ((False, 401), ("mine", 404)):
        with pytest.raises(RepositoryNotFoundError) as found:
            api.model_info(REPO, token=token)
        assert found.value.response.status_code == status
    with pytest.raises(RepositoryNotFoundError):
        get("config.json")


def test_gated_and_private(hub: Hub, get: Callable[..., Path]) -> None:
    """Of a gated repo anyone may read the listing, but no file; of a private one nothing."""
    sha = hub.commit(REPO, FILES, gated=True)
    hub.tokens.add("good")
    api = HfApi(endpoint=hub.url)
    assert api.model_info(REPO).gated == "manual"
    for token, status in ((False, 401), ("bad", 403)):
        with pytest.raises(GatedRepoError) as found:
            get(token=token)
        assert found.value.response.status_code == status
        with pytest.raises(GatedRepoError):
            api.auth_check(REPO, token=token)
    api.auth_check(REPO, token="good")
    assert get(token="good").read_bytes() == WEIGHTS
    hub.commit("org/mine", FILES, private=True)
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("org/mine", token="bad")
    assert api.model_info("org/mine", token="good").sha == sha


def test_a_dropped_download_goes_on_from_its_last_full_chunk(
    hub: Hub, get: Callable[..., Path], naps: list[float]
) -> None:
    """The client holds 10 MiB before it writes any: what it has of an unfinished chunk is lost."""
    big = bytes(25 << 20)
    hub.commit(REPO, {"model.safetensors": big})
    hub.fault(Drop(after=15 << 20), "/cdn/*")
    assert get().stat().st_size == len(big)
    gets = [each for each in hub.log if each.method == "GET"]
    assert [(each.range, each.status) for each in gets] == [(None, 200), ((CHUNK, None), 206)]
    assert [each.sent for each in gets] == [15 << 20, 15 << 20]
    assert naps == [1]


def test_a_small_file_that_is_dropped_starts_over(hub: Hub, get: Callable[..., Path]) -> None:
    hub.commit(REPO, FILES)
    hub.fault(Drop(after=1000), "/cdn/*", times=2)
    assert get().read_bytes() == WEIGHTS
    gets = [each for each in hub.log if each.method == "GET"]
    assert [each.range for each in gets] == [None] * 3
    assert [each.sent for each in gets] == [1000, 1000, len(WEIGHTS)]


def test_a_download_that_fails_leaves_nothing_to_go_on_from(
    hub: Hub, get: Callable[..., Path], naps: list[float], tmp_path: Path
) -> None:
    hub.commit(REPO, FILES)
    hub.fault(Drop(after=1000), "/cdn/*", times=6)
    with pytest.raises(httpx2.RemoteProtocolError):
        get()
    assert len(hub.log) == 1 + 6 and naps == [1] * 5
    assert not list(tmp_path.rglob("*.incomplete"))
    hub.log.clear()
    hub.fault(Drop(after=1000, reset=True), "/cdn/*")
    with pytest.raises(httpx2.ReadError):
        get()
    assert len(hub.log) == 2 and not list(tmp_path.rglob("*.incomplete"))
    assert get().read_bytes() == WEIGHTS
    assert hub.log[-1].range is None


def test_a_file_that_is_shorter_than_announced_is_noticed(
    hub: Hub, get: Callable[..., Path]
) -> None:
    hub.commit(REPO, FILES)
    hub.fault(Cut(by=10), "/cdn/*")
    with pytest.raises(OSError, match="Consistency check failed"):
        get()
    assert len(hub.log) == 2


def test_a_wrong_byte_is_not_noticed(hub: Hub, get: Callable[..., Path]) -> None:
    """The client compares no digest. Whoever needs the right bytes hashes them."""
    hub.commit(REPO, FILES)
    hub.fault(Flip(at=70_000), "/cdn/*")
    hub.fault(Flip(at=0), "*/config.json")
    got = get()
    assert got.resolve().name == SHA256
    assert hashlib.sha256(got.read_bytes()).hexdigest() != SHA256
    wrong = [i for i, (a, b) in enumerate(zip(got.read_bytes(), WEIGHTS, strict=True)) if a != b]
    assert wrong == [70_000]
    assert get("config.json").read_bytes() != FILES["config.json"]
    assert get() == got and hub.log[-1].method == "HEAD"


def test_which_answers_the_client_asks_again(
    hub: Hub, get: Callable[..., Path], naps: list[float]
) -> None:
    """Only metadata that no cache has, a tree's pages, and a download's 429."""
    hub.commit(REPO, FILES)
    api = HfApi(endpoint=hub.url)
    hub.fault(Status(429, retry_after=7), "/cdn/*")
    assert get().read_bytes() == WEIGHTS and naps == [8]
    naps.clear()
    hub.fault(Status(503), "/org/model/resolve/*", method="HEAD", times=3)
    assert get("config.json").read_bytes() == FILES["config.json"] and naps == [1, 2]
    naps.clear()
    hub.fault(Status(500), "*/tree/*")
    assert list(api.list_repo_tree(REPO)) and naps == [1]
    naps.clear()
    hub.fault(Status(429, retry_after=7), "/api/models/org/model")
    with pytest.raises(HfHubHTTPError, match="429"):
        api.model_info(REPO)
    hub.fault(Status(500), "*/notes.txt")
    with pytest.raises(HfHubHTTPError, match="500"):
        get("a/b/notes.txt")
    hub.fault(Status(403), "/cdn/*")
    with pytest.raises(HfHubHTTPError, match="403"):
        get(force_download=True)
    assert naps == []


def test_a_slow_answer_is_a_timeout(hub: Hub) -> None:
    hub.commit(REPO, FILES)
    hub.fault(Slow(30), "*")
    with pytest.raises(httpx2.ReadTimeout):
        HfApi(endpoint=hub.url).model_info(REPO, timeout=0.2)


def test_offline(
    hub: Hub, get: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is in the cache is found, also by a branch's name; of anything else no request is made."""
    hub.commit(REPO, FILES)
    got = get()
    hub.log.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert get() == got
    with pytest.raises(OfflineModeIsEnabled):
        HfApi(endpoint=hub.url).model_info(REPO)
    with pytest.raises(LocalEntryNotFoundError):
        get("config.json")
    with pytest.raises(LocalEntryNotFoundError):
        snapshot_download("org/other", endpoint=hub.url, cache_dir=tmp_path / "cache")
    partial = snapshot_download(REPO, endpoint=hub.url, cache_dir=tmp_path / "cache")
    assert [each.name for each in Path(partial).iterdir()] == ["model.safetensors"]
    assert hub.log == []


SCRIPT = """
import json, os, sys
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
before = HfApi().endpoint
os.environ["HF_ENDPOINT"] = "http://127.0.0.1:1"
os.environ["HF_TOKEN"] = "late"
path = snapshot_download("org/model")
print(json.dumps([before == HfApi().endpoint, path]))
"""


def test_two_processes_at_once_and_when_the_environment_is_read(hub: Hub, tmp_path: Path) -> None:
    """HF_ENDPOINT when the client is imported; HF_TOKEN at each call."""
    sha = hub.commit(REPO, FILES, gated=True)
    hub.tokens.add("late")
    env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": "early", "HF_HOME": str(tmp_path)}
    env |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    env.pop("HF_HUB_OFFLINE", None)
    command = [sys.executable, "-c", SCRIPT]
    both = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE) for _ in range(2)]
    for process in both:
        out, _ = process.communicate(timeout=60)
        path = tmp_path / "hub" / "models--org--model" / "snapshots" / sha
        assert process.returncode == 0 and json.loads(out) == [True, str(path)]
    assert {each.token for each in hub.log if not each.path.startswith("/cdn/")} == {"late"}
    assert (path / "model.safetensors").read_bytes() == WEIGHTS


def test_plain_files_ranges_and_a_kept_connection(hub: Hub) -> None:
    hub.files["model.gguf"] = WEIGHTS
    size = len(WEIGHTS)
    connection = http.client.HTTPConnection(hub.url.removeprefix("http://"))

    def ask(method: str = "GET", path: str = "/files/model.gguf", **headers: str) -> tuple:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())

    status, body, headers = ask()
    port = connection.sock.getsockname()
    assert (status, body, headers["Accept-Ranges"]) == (200, WEIGHTS, "bytes")
    status, body, head = ask("HEAD")
    assert (status, body, head["Content-Length"], head["ETag"]) == (
        200,
        b"",
        str(size),
        headers["ETag"],
    )
    for asks, start, end in (("5-9", 5, 10), ("5-", 5, size), ("-5", size - 5, size)):
        status, body, part = ask(Range=f"bytes={asks}")
        assert (status, body) == (206, WEIGHTS[start:end])
        assert part["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
    status, _, part = ask(Range=f"bytes={size}-")
    assert (status, part["Content-Range"]) == (416, f"bytes */{size}")
    assert ask(Range="bytes=5-9", If_Range='"other"')[1] == WEIGHTS
    assert ask(Range="bytes=5-9", If_Range=headers["ETag"])[0] == 206
    assert ask(path="/files/no.gguf")[0] == ask(path="/nowhere")[0] == 404
    assert connection.sock.getsockname() == port
    assert [each.range for each in hub.log[2:5]] == [(5, 9), (5, None), (None, 5)]
    connection.close()


def test_it_ends_at_once_with_its_threads_and_says_what_failed_in_it() -> None:
    before = set(threading.enumerate())
    with Hub() as hub:
        hub.files["x"] = bytes(50 << 20)
        idle = http.client.HTTPConnection(hub.url.removeprefix("http://"))
        idle.request("GET", "/files/none")
        idle.getresponse().read()
        left = http.client.HTTPConnection(hub.url.removeprefix("http://"))
        left.request("GET", "/files/x")
        left.getresponse().close()
        left.close()
    idle.close()
    assert set(threading.enumerate()) == before
    with pytest.raises(AssertionError, match="the hub itself failed"), Hub() as hub:
        hub.files["x"] = None  # type: ignore[assignment]
        asks = http.client.HTTPConnection(hub.url.removeprefix("http://"))
        asks.request("GET", "/files/x")
        with pytest.raises(http.client.RemoteDisconnected):
            asks.getresponse()
        asks.close()
