"""Remotes, the keys that sign and are believed, tokens, and clocks of other machines."""

from __future__ import annotations

import hashlib
import stat
import tempfile
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

from ...core.address import Address
from ...core.publickey import split_key
from ...errors import CortexError
from ...remotes import open_remote
from ...remotes.keys import own_keys, public_text, trusted_keys
from .. import words
from .finding import Finding, Ground, error, ok, warning

CANARY = hashlib.sha256(b"cortexbuild doctor").hexdigest()
"""A name that no content and no record has."""
SKEW = 300.0
"""Seconds. A cloud refuses requests whose clock is 15 minutes off."""


def remotes(ground: Ground) -> Iterator[Finding]:
    for address in ground.manifest.cache.remotes if ground.manifest is not None else ():
        mode = ground.modes.get(address.name, "r")
        if mode == "off" or (ground.offline and address.scheme != "file"):
            yield ok(f"remote `{address.name}` is not asked")
            continue
        try:
            yield from _asked(address, ground.root, writes=mode == "rw")
        except CortexError as reason:
            yield error(f"remote `{address.name}`: {reason}", _mend(reason, address))


def _asked(address: Address, root: Path, *, writes: bool) -> Iterator[Finding]:
    remote = open_remote(address, root)
    remote.sizes("ac", [CANARY])
    said = "can be read"
    if writes:
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder, "draft")
            draft.write_bytes(b"{}")
            remote.write("roots", CANARY, draft, lambda _: None)
        remote.remove("roots", CANARY)
        said = "can be read and written to"
    yield ok(f"remote `{address.name}` {said}")
    if address.scheme in ("http", "https"):
        yield from _clock_of(address, root)


def _clock_of(address: Address, root: Path) -> Iterator[Finding]:
    from urllib3.exceptions import HTTPError

    from ...remotes.credentials import open_pool

    try:
        answer = open_pool(address, root).request("HEAD", address.url, timeout=10.0, retries=False)
        there = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (HTTPError, KeyError, ValueError):  # it does not tell the time
        return
    yield from of_skew(address.name, there - time.time())


def of_skew(name: str, ahead: float) -> Iterator[Finding]:
    """How far the clock of a remote is ahead of this machine's."""
    if abs(ahead) > SKEW:
        side = "ahead of" if ahead > 0 else "behind"
        yield warning(
            f"the clock of remote `{name}` is {words.time(abs(ahead))} {side} this machine's",
            "set the one that is wrong: `sudo timedatectl set-ntp true`",
        )


def _mend(reason: CortexError, address: Address) -> str:
    if address.scheme == "file":
        return (
            f"mount what should be there and see that you may use it; or `mkdir -p {address.path}`"
        )
    return reason.hint


def keys(ground: Ground) -> Iterator[Finding]:
    folder = ground.home / "build" / "keys"
    manifest = ground.manifest
    for text in manifest.trust if manifest is not None else ():
        split_key(text)
    if folder.is_dir() and stat.S_IMODE(folder.stat().st_mode) & 0o022:
        yield error(f"others may put keys into {folder}", f"chmod 700 {folder}")
    own = own_keys(folder)
    trusted = trusted_keys(folder, manifest.trust if manifest is not None else ())
    for key in own:
        yield ok(f"key `{key.name}` signs; only you can read it")
    addresses = manifest.cache.remotes if manifest is not None else ()
    signed = [one for one in addresses if not one.unsigned]
    writes = any(ground.modes.get(one.name) == "rw" for one in signed)
    if writes and not own and "CORTEX_SIGNING_KEY" not in ground.environment:
        yield error("remotes are written to, and there is no key to sign with",
                    "cortexbuild keys new NAME")  # fmt: skip
    if signed and not trusted:
        yield warning(
            "no key is trusted, so nothing is used of what remotes have",
            "`trust:` in cortex.yaml, or `cortexbuild keys trust NAME:KEY`",
        )
    unknown = [key.name for key in own if manifest and public_text(key) not in manifest.trust]
    if writes and unknown:
        yield warning(
            f"`trust:` in cortex.yaml does not name the key `{unknown[0]}`: others do not use what "
            "it signs", f"add what `cortexbuild keys export {unknown[0]}` prints",
        )  # fmt: skip


def tokens(ground: Ground) -> Iterator[Finding]:
    """Whether there is one for the Hub; it is never shown."""
    sources = [] if ground.manifest is None else ground.manifest.models.values()
    if not any(model.source.startswith("hf:") for model in sources):
        return
    said = ground.environment
    usual = Path(said.get("HOME", "~")).expanduser() / ".cache" / "huggingface"
    path = Path(said.get("HF_TOKEN_PATH") or Path(said.get("HF_HOME") or usual) / "token")
    if said.get("HF_TOKEN"):
        yield ok("there is a token for the Hub (HF_TOKEN)")
    elif path.is_file():
        yield ok(f"there is a token for the Hub ({path})")
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield warning(f"others can read the token in {path}", f"chmod 600 {path}")
    else:
        yield warning("no token for the Hub: gated models cannot be fetched", "hf auth login")
