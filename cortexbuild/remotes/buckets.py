"""How a bucket is opened: whose credentials, which endpoint, how long one waits and tries again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.address import Address
from ..errors import RemoteError
from .credentials import read_ca
from .object_errors import told

if TYPE_CHECKING:
    from obstore.store import AzureStore, ClientConfig, GCSStore, RetryConfig, S3Config, S3Store

    Store = S3Store | GCSStore | AzureStore

INSTALL = "pip install 'cortexbuild[cloud]'"
CONNECT = 10.0
SILENCE = 30.0
"""Seconds: for a connection, and without a byte of an answer."""
WHOLE = 300.0
"""Seconds for a request. A part has 8 MiB or more, and others share the line with it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one request is tried: `retries` more times, begun within `seconds`."""

    retries: int
    seconds: float
    silence: float | None = SILENCE


ASKING = Patience(2, 8)
"""For the first question: an endpoint that is not there is told of within some seconds."""
READING = Patience(20, 30)
"""The library's own ten retries are over in two seconds, and a restart of a server is not."""
WRITING = Patience(20, 30, silence=None)
"""The library counts silence from the beginning of a request, also while it is sending."""


def open_bucket(address: Address, root: Path, patience: Patience) -> Store:
    """A bucket or container, with the prefix of the address; nothing is asked of it yet."""
    try:
        import obstore.store  # noqa: F401
    except ImportError as error:
        raise RemoteError(
            f"{address.url}: {address.scheme}:// needs a library that is not installed",
            hint=f"`{INSTALL}`",
        ) from error
    options: ClientConfig = {"connect_timeout": f"{CONNECT}s", "timeout": f"{WHOLE}s"}
    if patience.silence is not None:
        options["read_timeout"] = f"{patience.silence}s"
    if address.ca is not None:
        options["root_certificate"] = read_ca(address, root)
    retry: RetryConfig = {
        "max_retries": patience.retries,
        "retry_timeout": timedelta(seconds=patience.seconds),
        "backoff": {"init_backoff": timedelta(seconds=1), "max_backoff": timedelta(seconds=10)},
    }
    with told(address):
        return _open(address, options, retry)


def _open(address: Address, options: ClientConfig, retry: RetryConfig) -> Store:
    from obstore.store import AzureStore, GCSStore

    prefix = address.path.strip("/") or None
    if address.scheme == "s3":
        return _open_s3(address, prefix, options, retry)
    if address.scheme == "gs":
        return GCSStore(address.host, prefix=prefix, client_options=options, retry_config=retry)
    endpoint = os.environ.get("AZURE_STORAGE_ENDPOINT") or os.environ.get("AZURE_ENDPOINT") or ""
    options["allow_http"] = endpoint.startswith("http://")
    return AzureStore(address.host, prefix=prefix, client_options=options, retry_config=retry)


def _open_s3(
    address: Address, prefix: str | None, options: ClientConfig, retry: RetryConfig
) -> S3Store:
    from obstore.store import S3Store

    config: S3Config = {
        "virtual_hosted_style_request": not address.path_style,
        "disable_bulk_delete": True,  # not every server has it, and we delete one at a time
    }
    provider, found = _profile(address)
    region = (
        address.region
        or os.environ.get("AWS_REGION")
        or os.environ.get("AWS_DEFAULT_REGION")
        or found.get("region")
    )
    if region:
        config["region"] = region
    endpoint = (
        address.endpoint
        or os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
    )
    if endpoint:
        options["allow_http"] = endpoint.startswith("http://")
        if not address.path_style:
            endpoint = endpoint.replace("://", f"://{address.host}.", 1)
        config["aws_endpoint_url_s3"] = endpoint.rstrip("/")
    return S3Store(
        address.host, prefix=prefix, config=config, client_options=options, retry_config=retry,
        credential_provider=provider,
    )  # fmt: skip


def _profile(address: Address) -> tuple[Any, Mapping[str, str]]:
    """Who boto3 says one is, and what it knows of the region, where the environment alone does
    not say; profiles, SSO and roles are its business."""
    profile = os.environ.get("AWS_PROFILE")
    if not profile and (os.environ.get("AWS_ACCESS_KEY_ID") or not _has_aws_files()):
        return None, {}
    try:
        import boto3
        from botocore.exceptions import BotoCoreError
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        if not profile:
            return None, {}
        raise RemoteError(
            f"{address.url}: AWS_PROFILE needs a library that is not installed",
            hint=f"`{INSTALL}`",
        ) from error
    try:
        provider = Boto3CredentialProvider(boto3.Session())
    except ValueError as error:  # it has none; there are other ways, of a machine in the cloud
        if not profile:
            return None, {}
        raise RemoteError(
            f"{address.url}: no credentials in the AWS profile `{profile}`",
            hint="`aws configure`, or `aws sso login`, or unset AWS_PROFILE",
        ) from error
    except BotoCoreError as error:
        raise RemoteError(f"{address.url}: {error}", hint="see AWS_PROFILE and ~/.aws") from error
    return provider, {key: str(value) for key, value in provider.config.items()}


def _has_aws_files() -> bool:
    named = (("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config"))
    return any(
        Path(os.environ.get(variable) or f"~/.aws/{name}").expanduser().is_file()
        for variable, name in named
    )
