"""The files that keys are kept in, and whom this machine trusts.

    keys/NAME.key     the secret half of a key of ours: `NAME:secret:BASE64`, for its owner alone
    keys/trusted      public keys to believe beside those of cortex.yaml, one `NAME:BASE64` a line

A secret has another form than what is handed on, so that one is not taken for the other.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..core.publickey import BYTES, KEY_NAME, split_key
from ..errors import UsageError
from ..store import drafts
from ..store.system import system
from .signing import SigningKey

VARIABLE = "CORTEX_SIGNING_KEY"


def new_key(folder: Path, name: str) -> SigningKey:
    """Make a key and keep it. Raises UsageError for a name that is taken or is none."""
    key = SigningKey(name, secrets.token_bytes(BYTES))
    try:
        split_key(public_text(key))
    except ValueError:
        raise UsageError(
            f"`{name}` is no name for a key",
            hint="letters, digits, `.`, `_` and `-`, such as `ci-2026`: a year helps when it is "
            "time for another",
        ) from None
    path = folder / f"{name}.key"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise UsageError(
            f"there is a key `{name}` already: {path}", hint="give the new one another name"
        ) from None
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secret_text(key) + "\n")
            file.flush()
            system().fsync(file.fileno())
    except OSError:  # half a key would keep its name
        path.unlink()
        raise
    return key


def own_keys(folder: Path) -> list[SigningKey]:
    """The keys whose secrets are kept here."""
    return [_read(path) for path in sorted(folder.glob("*.key"))]


def signing_key(folder: Path, name: str = "") -> SigningKey | None:
    """The key to sign with: that of a name, or of the environment, or the only one here.

    Raises UsageError when there are several and none is named.
    """
    if said := os.environ.get(VARIABLE, "").strip():
        if ":secret:" not in said and not Path(said).expanduser().is_file():
            raise UsageError(  # without what it says, which may be a secret
                f"{VARIABLE} is neither NAME:secret:BASE64 nor the path of a key file",
                hint="`cortexbuild keys export NAME --secret` prints what to set it to",
            )
        key = _parse(said) if ":secret:" in said else _read(Path(said).expanduser())
        if not name or key.name == name:
            return key
    keys = [key for key in own_keys(folder) if not name or key.name == name]
    if name and not keys:
        raise UsageError(f"there is no key `{name}` in {folder}", hint="`cortexbuild keys list`")
    if len(keys) > 1:
        names = ", ".join(key.name for key in keys)
        raise UsageError(f"there are several keys to sign with: {names}", hint="`--key NAME`")
    return keys[0] if keys else None


def trusted_keys(folder: Path, others: Iterable[str]) -> Mapping[str, bytes]:
    """Public keys by name: `others` (those of cortex.yaml), then this machine's and our own.

    Raises UsageError when one name stands for two keys.
    """
    found: dict[str, bytes] = {}
    own = [public_text(key) for key in own_keys(folder)]
    for text in (*others, *_lines(folder / "trusted"), *own):
        name, raw = split_key(text)
        if found.setdefault(name, raw) != raw:
            raise UsageError(
                f"`{name}` is the name of two keys that are to be trusted",
                hint=f"see `trust:` in cortex.yaml and {folder / 'trusted'}",
            )
    return found


def trust(folder: Path, text: str) -> bool:
    """Believe a public key on this machine from now on. Says whether that is new."""
    try:
        split_key(text)
    except ValueError as error:
        raise UsageError(
            f"`{text}` is no public key: {error}",
            hint="`cortexbuild keys list` prints public keys, on the machine of whoever signs",
        ) from None
    lines = _lines(folder / "trusted")
    if text in lines:
        return False
    trusted_keys(folder, [text])  # no other of that name
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    drafts.replace_text(folder / "trusted", "\n".join([*lines, text]) + "\n")
    return True


def public_text(key: SigningKey) -> str:
    return f"{key.name}:{base64.b64encode(key.public()).decode()}"


def secret_text(key: SigningKey) -> str:
    return f"{key.name}:secret:{base64.b64encode(key.seed).decode()}"


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: not text: {error.reason}", hint="remove it, and trust the keys anew"
        ) from None
    found = [line for line in lines if line and not line.startswith("#")]
    for line in found:
        try:
            split_key(line)
        except ValueError as error:
            raise UsageError(
                f"{path}: `{line}`: {error}",
                hint="remove the line, and trust the key anew: `cortexbuild keys trust`",
            ) from None
    return found


def _read(path: Path) -> SigningKey:
    try:
        mode, text = path.stat().st_mode, path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"{path}: the signing key cannot be read: {reason}",
            hint="see who owns it and who may read it",
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise UsageError(
            f"{path}: others can read this signing key",
            hint=f"chmod 600 {path}; if they may have, make a new key and trust that instead",
        )
    return _parse(text, str(path))


def _parse(text: str, where: str = VARIABLE) -> SigningKey:
    name, _, rest = text.partition(":secret:")
    try:
        seed = base64.b64decode(rest, validate=True)
    except (binascii.Error, ValueError):
        seed = b""
    if not KEY_NAME.fullmatch(name) or len(seed) != BYTES:
        raise UsageError(
            f"{where}: not a signing key",
            hint="`cortexbuild keys export NAME --secret` prints one: NAME:secret:BASE64",
        )
    return SigningKey(name, seed)
