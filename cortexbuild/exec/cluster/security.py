"""Who may speak to whom: mutual TLS, and the addresses that do without."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...errors import UsageError

if TYPE_CHECKING:
    from distributed import Security

VARIABLES = {"ca": "CORTEX_TLS_CA", "cert": "CORTEX_TLS_CERT", "key": "CORTEX_TLS_KEY"}
HOW = (
    "`cortexbuild cluster certificates DIR` makes a set; name them by `--tls-ca`, `--tls-cert` and "
    "`--tls-key`, in cortex.yaml (`executor: {dask: …, ca: …, cert: …, key: …}`), or by "
    "CORTEX_TLS_CA, CORTEX_TLS_CERT and CORTEX_TLS_KEY"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A scheduler's address and the files to prove oneself with; `insecure` is a person's word
    that whoever reaches the network may run what they like."""

    address: str
    ca: str = ""
    cert: str = ""
    key: str = ""
    insecure: bool = False

    @property
    def is_encrypted(self) -> bool:
        return urlsplit(self.address).scheme == "tls"

    @property
    def is_loopback(self) -> bool:
        host = urlsplit(self.address).hostname or ""
        try:
            return host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            return False


def check_place(place: Place) -> None:
    """Raises UsageError for an address that is none, or that would be spoken to in clear."""
    parts = urlsplit(place.address)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in ("tls", "tcp") or not parts.hostname or port is None:
        raise UsageError(
            f"`{place.address}` is no address of a scheduler",
            hint="it is written `tls://HOST:8786`, or `tcp://127.0.0.1:8786` on one machine",
        )
    if parts.scheme == "tcp" and not (place.is_loopback or place.insecure):
        raise UsageError(
            f"{place.address} is spoken to in clear, and whoever reaches it can run programs on "
            "all of its machines",
            hint="use `tls://` with certificates, or say `--insecure` where nobody else can be",
        )


def security(place: Place, environment: Mapping[str, str] = os.environ) -> Security | None:
    """What Dask is to prove itself with; None for an address that does without."""
    check_place(place)
    if not place.is_encrypted:
        return None
    files = {}
    for what, variable in VARIABLES.items():
        said = getattr(place, what) or environment.get(variable, "")
        if not said:
            raise UsageError(f"{place.address} needs certificates; no {what} is named", hint=HOW)
        files[what] = _readable(what, Path(said).expanduser())
    from distributed import Security

    both = {f"tls_{who}_{what}": files[what] for who in ROLES for what in ("cert", "key")}
    return Security(tls_ca_file=files["ca"], require_encryption=True, **both)


ROLES = ("client", "worker", "scheduler")


def _readable(what: str, path: Path) -> str:
    try:
        mode = path.stat().st_mode
        path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: the {what} cannot be read: {error.strerror}", hint=HOW) from None
    if what == "key" and stat.S_IMODE(mode) & 0o077:
        raise UsageError(f"{path}: others can read this key", hint=f"chmod 600 {path}")
    return str(path)
