"""Credentials of every kind, in builds that succeed and that fail: none is written or said.

Each canary is a secret of its own, so that a failure names what leaked. Servers that refuse quote
what they were sent, as some do.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import pytest
from hub import Flip, Hub
from remotes.servers import Handler, certify, free_port, odd_server
from workspace import PLUGIN, tiny_safetensors

from cortexbuild.remotes.keys import new_key, public_text, secret_text

CANARIES = {
    what: f"canary-{what}-{sha256(what.encode()).hexdigest()[:8]}"
    for what in ("hub", "remote", "password", "netrc", "aws", "query", "proxy", "index", "refused")
}
CONFIG = b'{"text": "hello world"}'
ONE_FILE = tiny_safetensors(b"one file")
RUNS = """\
import json, sys, time
from cortexbuild.cli.main import main
time.sleep = lambda seconds: None  # here, and not in steps: a remote that is away stays away
for call in json.loads(sys.argv[1]):
    print("\\n$", *call, flush=True)
    try:
        code = main(call)
    except SystemExit as end:
        code = end.code
    print("=", code, flush=True)
"""


class Servers:
    """A hub with a private model, a web server with files behind a login and one behind a
    signature, one of which is on an open server, a remote with a token, and one that refuses."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.hub = stack.enter_context(Hub(tokens={CANARIES["hub"]}))
        self.commit = self.hub.commit(
            "org/private",
            {"config.json": CONFIG, "model.safetensors": tiny_safetensors()},
            private=True,
        )
        pem = [folder / name for name in ("ca.pem", "cert.pem", "key.pem")]
        certify(*pem)
        self.ca = pem[0]
        self.kept: dict[str, bytes] = {}
        self.files = stack.enter_context(odd_server(self._file, (pem[1], pem[2])))
        self.remote = stack.enter_context(odd_server(self._remote))
        self.quoting = stack.enter_context(odd_server(_quote))
        self.open = stack.enter_context(odd_server(lambda asked: asked.say(200, ONE_FILE)))

    def _file(self, asked: Handler) -> None:
        path, _, query = asked.path.partition("?")
        login = base64.b64encode(f"me:{CANARIES['netrc']}".encode()).decode()
        known = asked.headers.get("Authorization") == f"Basic {login}"
        if path == "/moved.safetensors" and known:
            return asked.say(302, Location=f"{self.open.url}/m.safetensors")
        if not (query == f"sig={CANARIES['query']}" or (path == "/login.safetensors" and known)):
            return _quote(asked)
        return asked.say(200, ONE_FILE)

    def _remote(self, asked: Handler) -> None:
        body = asked.rfile.read(int(asked.headers.get("Content-Length") or 0))
        if asked.headers.get("Authorization") != f"Bearer {CANARIES['remote']}":
            return _quote(asked)
        if asked.command == "PUT":
            self.kept[asked.path] = body
            return asked.say(201)
        found = self.kept.get(asked.path)
        return asked.say(404) if found is None else asked.say(200, found)


def _quote(asked: Handler) -> None:
    asked.rfile.read(int(asked.headers.get("Content-Length") or 0))
    said = (
        f"<Error><Code>AccessDenied</Code><Message>{asked.path} {asked.headers}</Message></Error>"
    )
    asked.say(403, said.encode(), X_Quoted=asked.path)


@pytest.fixture
def servers(tmp_path):
    folder = tmp_path / "tls"
    folder.mkdir()
    with ExitStack() as stack:
        yield Servers(stack, folder)


@pytest.fixture
def team(space, servers, tmp_path):
    key = new_key(tmp_path / "keys", "ci-2026")
    digest = sha256(ONE_FILE).hexdigest()
    netrc = space.write(
        "../elsewhere/netrc", f"machine 127.0.0.1 login me password {CANARIES['netrc']}\n"
    )
    remotes = "\n".join(
        f'    - {{name: {name}, url: "{url}"{more}}}'
        for name, url, more in (
            ("good", servers.remote.url + "/cortex", ""),
            ("quoting", servers.quoting.url + "/cortex", ""),
            ("bucket", "s3://bucket/x", f", endpoint: {servers.quoting.url}"),
            ("proxied", "https://away.example/x", ""),
        )
    )
    space.write(
        "cortex.yaml",
        f"""\
schema: 1
models:
  private:
    source: hf:org/private
    targets: {{t: {{recipe: short}}, tells: {{recipe: short, set: {{fail: tell}}}}}}
  signed:
    source: {servers.files.url}/m.safetensors?sig={CANARIES["query"]}#sha256={digest}
    targets: {{t: {{recipe: short}}}}
  login:
    source: {servers.files.url}/login.safetensors#sha256={digest}
    targets: {{t: {{recipe: short}}}}
  moved:
    source: {servers.files.url}/moved.safetensors#sha256={digest}
    targets: {{t: {{recipe: short}}}}
cache:
  remotes:
{remotes}
trust: ["{public_text(key)}"]
""",
    )
    proxy = f"http://me:{CANARIES['proxy']}@127.0.0.1:{free_port()}"
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith(("AWS_", "HF_", "PIP_")):
            space.env[name] = ""
    space.env |= {
        "HF_ENDPOINT": servers.hub.url, "HF_HOME": str(tmp_path / "hf"), "HOME": str(tmp_path / "me"),
        "HF_TOKEN": CANARIES["hub"], "HF_HUB_DISABLE_XET": "1", "NETRC": str(netrc),
        "CORTEX_REMOTE_GOOD_TOKEN": CANARIES["remote"], "CORTEX_REMOTE_QUOTING_USER": "me",
        "CORTEX_REMOTE_QUOTING_PASSWORD": CANARIES["password"],
        "AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": CANARIES["aws"],
        "AWS_SESSION_TOKEN": CANARIES["aws"], "AWS_REGION": "x",
        "HTTPS_PROXY": proxy, "NO_PROXY": "127.0.0.1", "SSL_CERT_FILE": str(servers.ca),
        "PIP_INDEX_URL": f"https://me:{CANARIES['index']}@127.0.0.1:1/simple",
        "CORTEX_SIGNING_KEY": secret_text(key), "TMPDIR": str(tmp_path / "tmp"),
        "PYTHONPATH": os.pathsep.join([str(PLUGIN), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    for folder in ("me", "tmp"):
        (tmp_path / folder).mkdir()
    space.key = secret_text(key).rpartition(":")[2]
    return space


def say(team, *calls: str) -> str:
    """All that several commands say, in one process."""
    words = json.dumps([call.split() for call in calls])
    done = subprocess.run(
        [sys.executable, "-P", "-c", RUNS, words], cwd=team.root, env=team.environment(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def forms(team) -> dict[str, bytes]:
    """Each secret, and the ways in which HTTP writes one."""
    found = {"key": team.key.encode()}
    for what, secret in CANARIES.items():
        found[what] = secret.encode()
        found[f"{what}, as a login"] = base64.b64encode(f"me:{secret}".encode())
    return found


def leaks(team, text: str, *allowed: str) -> list[str]:
    """Where a secret is, in what was said and in all that was written."""
    top = team.root.parent
    places = {"said": text.encode()}
    places |= {str(p.relative_to(top)): p.read_bytes() for p in top.rglob("*") if p.is_file()}
    own = ("elsewhere/", "keys/", "tls/", *allowed)
    return [
        f"{what} in {place}"
        for place, content in places.items()
        if not place.startswith(own)
        for what, secret in forms(team).items()
        if secret in content
    ]


def test_no_secret_is_written_or_said(team, servers):
    said = say(
        team,
        "lock", "plan", "sync -k --cache good:rw,quoting:rw,bucket:rw,proxied:rw --progress json",
        "sync --json private:tells", "push --remote good private:t", "why private:t", "why signed:t",
        "status --json", "list", "report --json", "report", "provenance private:t", "plan --json",
        "info hf:org/private --json", "bundle export -o set.tar private:t", "cache ls",
        "diff private:t private:t", "lock --check", "keys list",
    )  # fmt: skip
    results = dict(
        zip(said.split("\n$ ")[1:], re.findall(r"^= (\d+)$", said, re.MULTILINE), strict=True)
    )
    assert {code for call, code in results.items() if not call.startswith("sync")} == {"0"}, said
    assert len([path for path in servers.kept if "/cas/" in path]) == 2, "it was pushed"
    names = ("project/cortex.yaml", "project/cortex.lock")
    assert leaks(team, said, *names) == []
    for name in names:  # the one that was written there by a person
        assert {leak.partition(" in ")[0] for leak in leaks(team, "") if name in leak} == {"query"}
    asked = [*servers.files.asked, *servers.remote.asked, *servers.quoting.asked]
    assert not [headers for _, _, headers in asked if CANARIES["hub"] in str(headers)]
    assert {one.token for one in servers.hub.log if one.path.startswith("/cdn/")} == {None}
    assert servers.open.asked, "a redirect was followed"
    assert not [headers for _, _, headers in servers.open.asked if "Authorization" in headers]


def test_what_fails_tells_no_secret(team, servers):
    """Bytes that are wrong, a token that is revoked, a signature that is not taken."""
    assert say(team, "lock").endswith("= 0\n")
    servers.hub.fault(Flip(70), "/cdn/*")
    servers.files.answer = servers.remote.answer = _quote
    said = say(
        team,
        "sync -k private:t login",
        "lock --upgrade signed",
        "lock --upgrade login",
        "sync --offline",
    )
    assert re.findall(r"^= (\d+)$", said, re.MULTILINE) == ["6", "5", "5", "5"], said
    assert "private/fetch failed" in said and "login.safetensors could not be fetched" in said
    team.env["HF_TOKEN"] = CANARIES["refused"]
    servers.hub.revoked.add(CANARIES["refused"])
    team.env["CORTEX_REMOTE_GOOD_TOKEN"] = CANARIES["refused"] + "\n"
    said += say(team, "lock --upgrade private", "push --remote good", "info hf:org/private")
    assert "the Hub does not know who asks (401)" in said
    assert leaks(team, said, "project/cortex.yaml", "project/cortex.lock") == []


def test_a_password_in_a_source_is_refused_and_not_repeated(team):
    text = (team.root / "cortex.yaml").read_text()
    secret = CANARIES["refused"]
    team.write("cortex.yaml", text.replace("https://127", f"https://me:{secret}@127"))
    said = say(team, "lock")
    assert "cortex.yaml:7" in said and "~/.netrc" in said and secret not in said
