"""How an http remote is reached: who one is there, whom one believes, through which proxy."""

from __future__ import annotations

import netrc
import os
import re
import ssl
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ..core.address import Address
from ..errors import RemoteError

if TYPE_CHECKING:
    from urllib3 import PoolManager

CONNECTIONS = 32
"""To one server that are kept; more are made when more is asked for at a time."""

BLOCK = 1 << 18
"""Bytes sent at a time. The 16 KiB of http.client take thrice the processor's time; and a block
has to go out within the time limit, which 256 KiB do over any line that is worth using."""


def variable(address: Address, what: str) -> str:
    """The environment variable with the TOKEN, USER or PASSWORD for a remote."""
    return f"CORTEX_REMOTE_{re.sub(r'[^A-Z0-9]', '_', address.name.upper())}_{what}"


def credentials(address: Address) -> Mapping[str, str]:
    """The header that says who one is, if the environment or ~/.netrc know."""
    token = os.environ.get(variable(address, "TOKEN"), "").strip()
    if token:
        if not token.isascii() or not token.isprintable():  # the library would print it
            raise RemoteError(
                f"{variable(address, 'TOKEN')} has characters that no token has",
                hint="set it to the token alone, without quotes or line ends",
            )
        return {"Authorization": f"Bearer {token}"}
    user = os.environ.get(variable(address, "USER"))
    if user:
        password = os.environ.get(variable(address, "PASSWORD"))
        if password is None:
            raise RemoteError(
                f"{variable(address, 'USER')} is set, but not {variable(address, 'PASSWORD')}",
                hint="set both, or neither",
            )
        return _basic(user, password)
    return _from_netrc(urlsplit(address.url).hostname or "")


def _from_netrc(host: str) -> Mapping[str, str]:
    named = os.environ.get("NETRC")
    path = Path(named) if named else Path("~/.netrc").expanduser()
    try:
        # without a name it also looks at who owns the file and who can read it
        found = (netrc.netrc(named) if named else netrc.netrc()).authenticators(host)
    except FileNotFoundError as error:
        if named:
            raise RemoteError(
                f"{path}: no such file, but NETRC names it", hint="correct NETRC, or unset it"
            ) from error
        return {}
    except netrc.NetrcParseError as error:
        if "~/.netrc" in error.msg:  # about the file's owner or mode, and not its content
            raise RemoteError(
                f"{path}: {error.msg}",
                hint=f"make it yours and readable for you alone: `chmod 600 {path}`",
            ) from error
        raise RemoteError(
            f"{path}:{error.lineno}: not what a netrc file has",
            hint="each entry is `machine HOST login NAME password WORD`",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise RemoteError(
            f"{path}: {reason}", hint=f"make it readable for you alone: `chmod 600 {path}`"
        ) from error
    return _basic(found[0], found[2]) if found and found[2] else {}


def _basic(user: str, password: str) -> Mapping[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def open_pool(address: Address, root: Path) -> PoolManager:
    """Connections to a remote, by way of a proxy where the environment says so."""
    from urllib3 import PoolManager, ProxyManager, make_headers
    from urllib3.exceptions import ProxySchemeUnknown
    from urllib3.util import parse_url

    options: dict[str, Any] = {"maxsize": CONNECTIONS, "blocksize": BLOCK}
    if address.scheme == "https":
        options["ssl_context"] = _believed(address, root)
    proxies = getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(address.host):
        return PoolManager(**options)
    parts = parse_url(proxy if "://" in proxy else f"http://{proxy}")
    headers = make_headers(proxy_basic_auth=unquote(parts.auth)) if parts.auth else None
    try:
        return ProxyManager(parts._replace(auth=None).url, proxy_headers=headers, **options)
    except ProxySchemeUnknown as error:
        raise RemoteError(
            f"{address.url}: a proxy of the kind `{parts.scheme}` is not known here",
            hint="name an http:// or https:// proxy, or the host in NO_PROXY",
        ) from error


def _believed(address: Address, root: Path) -> ssl.SSLContext:
    """The machine's authorities, which SSL_CERT_FILE can replace, and the remote's own."""
    context = ssl.create_default_context()
    if not _machine_has_authorities():
        with suppress(ImportError):
            import certifi

            context.load_verify_locations(certifi.where())
    if address.ca is not None:
        pem = read_ca(address, root)
        try:
            context.load_verify_locations(cadata=pem)
        except (ssl.SSLError, ValueError) as error:
            raise RemoteError(
                f"{root / address.ca}: no certificates in PEM form",
                hint="`ca:` names a file that begins with -----BEGIN CERTIFICATE-----",
            ) from error
    return context


def read_ca(address: Address, root: Path) -> str:
    """The certificates that `ca` of an address names."""
    path = root / (address.ca or "")
    try:
        return path.read_text("ascii")
    except FileNotFoundError as error:
        raise RemoteError(
            f"{path}: no such file",
            hint=f"`ca` of the remote `{address.name}` is relative to cortex.yaml",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not in PEM form"
        raise RemoteError(
            f"{path}: {reason}",
            hint="`ca:` names a file that begins with -----BEGIN CERTIFICATE-----",
        ) from error


def _machine_has_authorities() -> bool:
    """Python from python.org has none on a Mac, until somebody runs what it came with."""
    places = ssl.get_default_verify_paths()
    return bool(places.cafile or (places.capath and any(Path(places.capath).iterdir())))
