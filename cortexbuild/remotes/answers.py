"""What an http server answers when it does not give what was asked, in words."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

from urllib3 import exceptions as trouble

from ..errors import IS_IT_UP, TRY_REMOTES, RemoteError

PASSING = (408, 425, 429)
LASTING = (501, 505, 507, 511)

HINTS: Mapping[int, str] = {
    301: "write the address that it points to",
    405: "the server takes no files here: nginx needs `dav_methods PUT DELETE`",
    407: "a proxy asks who you are: put user:password@ into HTTPS_PROXY",
    409: "the server does not make folders: nginx needs `create_full_put_path on`",
    413: "the server takes no files of this size: nginx needs `client_max_body_size 0`",
    507: "its disk is full: `cortexbuild cache gc --remote NAME`",
}
UNTRUSTED = "if its certificate is your own authority's, name that in `ca:` of the remote"


def refused(method: str, url: str, status: int, who: str) -> RemoteError:
    """The error for a status; `who` says where credentials are looked for."""
    try:
        phrase = f" {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = ""
    hint = (
        who
        if status in (401, 403)
        else HINTS.get(301 if 300 <= status < 400 else status, TRY_REMOTES)
    )
    passing = status in PASSING or (status >= 500 and status not in LASTING)
    return RemoteError(f"{method} {url}: {status}{phrase}", hint=hint, passing=passing)


@contextmanager
def told(method: str, url: str) -> Iterator[None]:
    """Errors of the library within are ours without."""
    try:
        yield
    except trouble.HTTPError as error:
        raise _unreached(method, url, error) from error
    except OSError as error:  # of the file that is sent, or where the library lets one through
        raise RemoteError(f"{method} {url}: {error}", passing=True, hint=IS_IT_UP) from error


def _unreached(method: str, url: str, error: trouble.HTTPError) -> RemoteError:
    if isinstance(error, trouble.MaxRetryError) and error.reason is not None:
        if isinstance(error.reason, trouble.ResponseError):
            return RemoteError(
                f"{method} {url}: redirected too often",
                hint="write the address that it leads to in the end as the remote's `url:`",
            )
        return _unreached(method, url, error.reason)  # type: ignore[arg-type]
    where = f"{method} {url}"
    cause = _innermost(error)
    if isinstance(error, trouble.ProxyError):
        return RemoteError(
            f"{where}: the proxy cannot be reached: {_words(cause)}",
            passing=True,
            hint="correct HTTPS_PROXY or HTTP_PROXY, or name the host in NO_PROXY",
        )
    if isinstance(cause, ssl.SSLCertVerificationError):
        return RemoteError(f"{where}: not trusted: {cause.verify_message}", hint=UNTRUSTED)
    if isinstance(error, trouble.SSLError):
        return RemoteError(f"{where}: TLS failed: {_words(cause)}", hint="is it an https server?")
    if isinstance(error, trouble.LocationParseError | trouble.LocationValueError):
        return RemoteError(
            f"{where}: not an address", hint="write the remote's `url:` in full: https://HOST/PATH"
        )
    if isinstance(error, trouble.NameResolutionError):
        return RemoteError(f"{where}: the host's name is not known", passing=True, hint=IS_IT_UP)
    if isinstance(error, trouble.NewConnectionError):
        return RemoteError(
            f"{where}: cannot be reached: {_words(cause)}", passing=True, hint=IS_IT_UP
        )
    if isinstance(error, trouble.TimeoutError) or isinstance(cause, TimeoutError):
        return RemoteError(f"{where}: no answer in time", passing=True, hint=IS_IT_UP)
    return RemoteError(
        f"{where}: the connection was lost: {_words(cause)}", passing=True, hint=IS_IT_UP
    )


def _innermost(error: BaseException) -> BaseException:
    """What it came from, wherever the library keeps that; not what was handled when it came."""
    inner = (error.__cause__, *error.args)
    deeper = next((one for one in inner if isinstance(one, BaseException)), None)
    return error if deeper is None else _innermost(deeper)


def _words(error: BaseException) -> str:
    """The reason alone: what the library says of itself around it helps nobody."""
    if isinstance(error, trouble.IncompleteRead):
        return f"{error.expected} bytes did not come"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error.args[0]) if error.args else type(error).__name__
