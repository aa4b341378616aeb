"""What a bucket's library says when something is wrong, in words: it keeps the reason in a text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ..core.address import Address
from ..errors import IS_IT_UP, TRY_REMOTES, RemoteError

CREDENTIALS: Mapping[str, str] = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, say who you are; reading "
    "needs s3:ListBucket and s3:GetObject: without the first, 403 also means `not there`",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS or `gcloud auth application-default login` say who you "
    "are; reading needs the role Storage Object Viewer",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_SAS_TOKEN, "
    "or `az login` with AZURE_USE_AZURE_CLI=true, say who you are",
}
NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
FULL = ("QuotaExceeded", "XMinioStorageFull", "InsufficientCapacity")
NO_LIST = ("AccessDenied", "storage.objects.list", "AuthorizationPermissionMismatch")
NOBODY = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")
ASKED_WHO = ("169.254.169.254", "169.254.170.2", "metadata.google.internal")
"""Where a machine in a cloud learns who it is; elsewhere nobody answers."""
LONGEST = 1 << 14
"""Characters of what a server says that are looked at."""


@contextmanager
def told(address: Address, key: str = "") -> Iterator[None]:
    """Errors of the library within are ours without; no `key` is a question of the bucket."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        raise _explained(address, key, error) from error


def may_not_list(error: Exception) -> bool:
    """Whether a bucket is there, but does not tell these credentials what it has."""
    return any(word in str(error) for word in NO_LIST)


def _explained(address: Address, key: str, error: Exception) -> RemoteError:
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    where = f"{address.url}/{key}" if key else address.url
    # addresses may carry what is secret in their query, as those of Azure do
    text = re.sub(r"(https?://[^\s?]+)\?\S*", r"\1", str(error)[:LONGEST])
    said, _, inside = text.partition("\n\nDebug source:")
    if any(word in said for word in NO_BUCKET) or (
        isinstance(error, FileNotFoundError) and not key
    ):
        kind = "container" if address.scheme == "az" else "bucket"
        return RemoteError(
            f"{where}: there is no {kind} `{address.host}`",
            hint="make it, or correct the remote's `url:` in cortex.yaml",
        )
    if any(host in said for host in ASKED_WHO):
        return RemoteError(f"{where}: no credentials", hint=CREDENTIALS[address.scheme])
    found = re.search(r"status code: (\d{3})", said)
    status = int(found[1]) if found else 0
    denied = status in (401, 403) or any(word in said for word in NOBODY)
    if denied or isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return RemoteError(f"{where}: {_answer(said)}", hint=CREDENTIALS[address.scheme])
    if "incorrectly configured region" in said:
        return RemoteError(f"{where}: the bucket is in another region", hint="write its `region:`")
    if "InvalidCertificate" in inside:
        return RemoteError(
            f"{where}: its certificate is not trusted: {_innermost(inside)}",
            hint="if it is of your own authority, name that in `ca:` of the remote",
        )
    if re.search(r"kind: Timeout|TimedOut", inside):
        return RemoteError(f"{where}: no answer in time", passing=True, hint=IS_IT_UP)
    if re.search(r"kind: (Connect|Request|Interrupted|Decode)\b", inside):
        return RemoteError(
            f"{where}: cannot be reached: {_innermost(inside)}", passing=True, hint=IS_IT_UP
        )
    lasting = status in (501, 505, 507) or any(word in said for word in FULL)
    passing = (status in (408, 429) or status >= 500) and not lasting
    return RemoteError(
        f"{where}: {_answer(said)}",
        passing=passing,
        hint=TRY_REMOTES,
    )


def _answer(said: str) -> str:
    """What a store answered: its code and message, if it speaks S3's or Azure's XML."""
    status = re.search(r"status code: (\d{3}[^:\n]*)", said)
    told = [found[1].strip() for word in ("Code", "Message")
            if (found := re.search(rf"<{word}>([^<\n]+)", said))]  # fmt: skip
    if status or told:
        return ": ".join(([status[1].strip()] if status else []) + told)
    return said.partition("\n")[0][:300]


def _innermost(inside: str) -> str:
    """The reason in the library's account of itself: its last text, or else its last word."""
    texts = re.findall(r'"([^"\n]+)"', inside)
    words = re.findall(r"\b([A-Z][A-Za-z]{3,})\b", inside)
    return str((texts[1:] or words or ["for no reason it tells"])[-1])
