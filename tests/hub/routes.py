"""The endpoints, each named after the function of the client that calls it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote

from hub import uploads, xet
from hub.model import Answer, Blob, Refused, Repo

if TYPE_CHECKING:
    from hub import Hub


@dataclass
class Call:
    """What a route found in a request."""

    hub: Hub
    token: str | None
    form: dict[str, list[str]]
    name: str = ""
    rev: str = "main"
    path: str = ""
    body: bytes = b""

    def one(self, key: str, default: str = "") -> str:
        return self.form.get(key, [default])[0]

    def true(self, key: str) -> bool:
        return self.one(key).lower() in ("1", "true")

    def sees(self, repo: Repo | None) -> bool:
        return repo is not None and (not repo.private or self.token in self.hub.tokens)

    def repo(self) -> Repo:
        """RepositoryNotFoundError without a token is a 401, with one a 404."""
        if self.token in self.hub.revoked:
            raise Refused(401, "", "Invalid credentials in Authorization header")
        repo = self.hub.repos.get(self.name)
        if repo is None or not self.sees(repo):
            if self.token is None:
                raise Refused(401, "RepoNotFound", "Invalid username or password.")
            raise Refused(404, "RepoNotFound", "Repository not found")
        if repo.disabled:
            raise Refused(403, "", "Access to this resource is disabled.")
        return repo

    def commit(self) -> tuple[Repo, str, dict[str, Blob]]:
        repo = self.repo()
        sha = repo.branches.get(self.rev) or repo.tags.get(self.rev) or self.rev
        if sha not in repo.commits:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {self.rev}")
        return repo, sha, repo.commits[sha]

    def enter(self) -> None:
        """GatedRepoError: only files are gated; what a repo holds, anyone may list."""
        if self.repo().gated and self.token not in self.hub.tokens:
            text = f"Access to model {self.name} is restricted"
            if self.token is None:
                more = (
                    ". You must have access to it and be authenticated to access it. Please log in."
                )
                raise Refused(401, "GatedRepo", text + more)
            more = f" and you are not in the authorized list. Visit {self.hub.url}/{self.name}"
            raise Refused(403, "GatedRepo", text + more + " to ask for access.")


def model_info(call: Call) -> Answer:
    """HfApi.model_info and repo_info, with `files_metadata=True` as `blobs`."""
    repo, sha, tree = call.commit()
    rows: list[dict[str, Any]] = [{"rfilename": path} for path in tree]
    if call.true("blobs"):
        rows = [
            {"rfilename": path, "blobId": blob.oid} | blob.listed("sha256")
            for path, blob in tree.items()
        ]
    return _json(_about(call.name, repo) | {"sha": sha, "cardData": repo.card, "siblings": rows})


def list_repo_tree(call: Call) -> Answer:
    """HfApi.list_repo_tree, and snapshot_download: pages, each naming the next in `Link`."""
    _, _, tree = call.commit()
    top = call.path.strip("/")
    rows = [row for path, row in _entries(tree).items() if not top or path.startswith(top + "/")]
    if top and not rows:
        raise Refused(404, "EntryNotFound", f'{top} does not exist on "{call.rev}"')
    if not call.true("recursive"):
        depth = len(top.split("/")) if top else 0
        rows = [row for row in rows if row["path"].count("/") == depth]
    size = min(call.hub.page, int(call.one("limit", str(call.hub.page))))
    start = int(call.one("cursor", "0"))
    headers = {}
    if start + size < len(rows):
        asked = "".join(f"{key}={quote(call.one(key))}&" for key in call.form if key != "cursor")
        where = f"/api/models/{call.name}/tree/{quote(call.rev, safe='')}{quote(call.path)}"
        link = f"{call.hub.url}{where}?{asked}cursor={start + size}"
        headers["Link"] = f'<{link}>; rel="next"'
    return _json(rows[start : start + size], headers)


def get_paths_info(call: Call) -> Answer:
    """HfApi.get_paths_info; a path that is not there is left out."""
    entries = _entries(call.commit()[2])
    return _json([entries[path] for path in call.form.get("paths", []) if path in entries])


def list_repo_refs(call: Call) -> Answer:
    """HfApi.list_repo_refs."""
    repo = call.repo()

    def rows(kind: str, names: dict[str, str]) -> list[dict[str, str]]:
        return [
            {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": sha}
            for name, sha in names.items()
        ]

    branches, tags = rows("heads", repo.branches), rows("tags", repo.tags)
    return _json({"branches": branches, "tags": tags, "converts": [], "pullRequests": []})


def auth_check(call: Call) -> Answer:
    """HfApi.auth_check."""
    call.enter()
    return _json({})


def list_models(call: Call) -> Answer:
    """HfApi.list_models(search=, limit=): repos whose name holds every word."""
    words = re.findall(r"[a-z0-9]+", call.one("search").lower())
    rows = [
        _about(name, repo)
        for name, repo in sorted(call.hub.repos.items())
        if call.sees(repo) and all(word in name.lower() for word in words)
    ]
    return _json(rows[: int(call.one("limit", "1000"))])


def whoami(call: Call) -> Answer:
    """HfApi.whoami."""
    if call.token is None or call.token in call.hub.revoked:
        raise Refused(401, "", "Invalid username or password.")
    auth = {"type": "access_token", "accessToken": {"displayName": "test", "role": "read"}}
    return _json({"type": "user", "id": "0", "name": "tester", "orgs": [], "auth": auth})


def resolve(call: Call) -> Answer:
    """get_hf_file_metadata and hf_hub_download: HEAD, then GET of the `Location` it was given."""
    call.enter()
    _, sha, tree = call.commit()
    blob = tree.get(call.path)
    if blob is None:
        raise Refused(404, "EntryNotFound", "Entry not found", X_Repo_Commit=sha)
    headers = {"X-Repo-Commit": sha}
    if not blob.lfs:
        return Answer(200, blob.data, headers, blob.etag)
    where = f"{call.hub.cdn}/cdn/{blob.sha256}?filename={quote(call.path, safe='')}"
    linked = {"X-Linked-Etag": f'"{blob.etag}"', "X-Linked-Size": str(len(blob.data))}
    linked |= xet.about(call, blob, sha)
    return Answer(302, b"", headers | linked | {"Location": where, "Accept-Ranges": "bytes"})


def cdn(call: Call) -> Answer:
    """Where hf_hub_download gets an LFS file: no token is needed, nor sent."""
    if call.name not in call.hub.stored:
        raise Refused(403, "", "Access denied")
    return Answer(200, call.hub.stored[call.name], etag=call.name)


def plain_file(call: Call) -> Answer:
    """A download that is no Hub's."""
    if call.path not in call.hub.files:
        raise Refused(404, "", "Not found")
    body = call.hub.files[call.path]
    return Answer(200, body, etag=hashlib.md5(body).hexdigest())


def list_repo_commits(call: Call) -> Answer:
    """The newest first; those that came after the one that is asked for are not among them."""
    repo, sha, _ = call.commit()
    made = [each for each in repo.made if repo.made[each] <= repo.made[sha]]
    rows = [
        {"id": each, "title": "", "message": "", "authors": [], "date": repo.made[each].isoformat()}
        for each in sorted(made, key=repo.made.__getitem__, reverse=True)
    ]
    return _json(rows[: int(call.one("limit", "50"))])


_REPO = r"(?P<name>[\w.-]+(?:/[\w.-]+)??)"
_MODEL = f"/api/models/{_REPO}"
ROUTES: dict[str, list[tuple[re.Pattern[str], Callable[[Call], Answer]]]] = {
    "GET": [
        (re.compile("/api/models"), list_models),
        (re.compile("/api/whoami-v2"), whoami),
        (re.compile("/cdn/(?P<name>[0-9a-f]{64})"), cdn),
        (re.compile("/cas/v2/reconstructions/(?P<name>[0-9a-f]{64})"), xet.reconstruction),
        (re.compile("/cas/xorbs/(?P<name>[0-9a-f]{64})"), xet.xorb),
        (re.compile("/files/(?P<path>.+)"), plain_file),
        (re.compile(_MODEL + "/refs"), list_repo_refs),
        (re.compile(_MODEL + "/auth-check"), auth_check),
        (re.compile(_MODEL + "/commits/(?P<rev>[^/]+)"), list_repo_commits),
        (re.compile(_MODEL + "/xet-read-token/(?P<rev>[^/]+)"), xet.xet_read_token),
        (re.compile(_MODEL + "/tree/(?P<rev>[^/]+)(?P<path>/.*)?"), list_repo_tree),
        (re.compile(_MODEL + "/revision/(?P<rev>[^/]+)"), model_info),
        (re.compile(_MODEL), model_info),
        (re.compile(f"/{_REPO}/resolve/(?P<rev>[^/]+)/(?P<path>.+)"), resolve),
    ],
    "POST": [
        (re.compile(_MODEL + "/paths-info/(?P<rev>[^/]+)"), get_paths_info),
        (re.compile("/api/repos/create"), uploads.create_repo),
        (re.compile("/api/validate-yaml"), uploads.validate_yaml),
        (re.compile(_MODEL + "/branch/(?P<rev>[^/]+)"), uploads.create_branch),
        (re.compile(_MODEL + "/preupload/(?P<rev>[^/]+)"), uploads.preupload),
        (re.compile(_MODEL + "/commit/(?P<rev>[^/]+)"), uploads.create_commit),
        (re.compile(f"/{_REPO}\\.git/info/lfs/objects/batch"), uploads.lfs_batch),
    ],
    "PUT": [(re.compile("/upload/(?P<name>[0-9a-f]{64})"), uploads.lfs_upload)],
}
ROUTES["HEAD"] = ROUTES["GET"]


def answer(
    hub: Hub, method: str, path: str, query: str, token: str | None, body: bytes = b""
) -> Answer:
    for route, call in ROUTES[method]:
        if match := route.fullmatch(path):
            found = {name: unquote(text) for name, text in match.groupdict("").items() if text}
            return call(Call(hub, token, parse_qs(query), body=body, **found))
    raise Refused(404, "", "Sorry, we can't find the page you are looking for.")


def _json(value: object, headers: Mapping[str, str] | None = None) -> Answer:
    body = json.dumps(value).encode()
    return Answer(200, body, {"Content-Type": "application/json; charset=utf-8", **(headers or {})})


def _about(name: str, repo: Repo) -> dict[str, Any]:
    """What a search and a model's own page both say of it."""
    times = [f"{made:%Y-%m-%dT%H:%M:%S.000Z}" for made in repo.made.values()]
    return {
        "id": name,
        "modelId": name,
        "author": name.partition("/")[0],
        "private": repo.private,
        "gated": "manual" if repo.gated else False,
        "disabled": repo.disabled,
        "downloads": 0,
        "likes": 0,
        "tags": [f"license:{repo.card['license']}"] if "license" in repo.card else [],
        "createdAt": times[0],
        "lastModified": times[-1],
    }


def _entries(tree: Mapping[str, Blob]) -> dict[str, dict[str, Any]]:
    """Files and the folders that they are in, in order."""
    rows: dict[str, dict[str, Any]] = {}
    for path, blob in tree.items():
        parts = path.split("/")
        for end in range(1, len(parts)):
            folder = "/".join(parts[:end])
            oid = hashlib.sha1(folder.encode()).hexdigest()
            rows[folder] = {"type": "directory", "oid": oid, "size": 0, "path": folder}
        rows[path] = {"type": "file", "oid": blob.oid, "path": path} | blob.listed("oid")
    return dict(sorted(rows.items()))
