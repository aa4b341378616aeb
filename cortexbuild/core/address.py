"""Where shared caches are, and how they are reached."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ..errors import UsageError
from .document import Entry, did_you_mean

SCHEMES = ("file", "http", "https", "s3", "gs", "az")


def _a_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in SCHEMES or not (parts.netloc or parts.path.strip("/")):
        raise ValueError(
            "a remote is written `file:///folder`, `https://host/path`, `s3://bucket/prefix`, "
            "`gs://bucket/prefix` or `az://container/prefix`"
        )
    if parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/")):
        raise ValueError("a folder is written with its whole path: `file:///mnt/models`")
    if parts.password is not None or parts.username is not None:
        raise ValueError("no passwords in cortex.yaml: see docs/guides for where they are kept")
    if "//" in parts.path:
        raise ValueError("a remote's address has no empty part: `//`")
    if parts.query or parts.fragment:
        raise ValueError("a remote's address has no `?` and no `#`")
    return text.rstrip("/")


class Address(Entry):
    """A remote, as cortex.yaml lists it. `scheme`, `host` and `path` are the parts of its url.

    `ca`, `endpoint`, `region` and `path_style` are for the schemes that know them; a folder alone
    can be `unsigned`.
    """

    url: Annotated[
        str,
        AfterValidator(_a_url),
        Field(
            description="file:///FOLDER, http(s)://HOST/PATH, s3://, gs:// or az://BUCKET/PREFIX"
        ),
    ]
    name: Annotated[
        str,
        Field(
            pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$",
            description="what messages and `--cache` call it; made from the url if left out",
        ),
    ] = ""
    unsigned: Annotated[
        bool, Field(description="believe whoever can write to this folder; only for file://")
    ] = False
    ca: Annotated[
        str | None, Field(description="certificates (PEM) to believe, relative to cortex.yaml")
    ] = None
    endpoint: Annotated[str | None, Field(description="of an S3 that is not Amazon's")] = None
    region: Annotated[str | None, Field(description="of an S3 bucket")] = None
    path_style: Annotated[
        bool, Field(description="S3 with the bucket in the path and not in the host's name")
    ] = True

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if isinstance(value, dict) and not value.get("name") and isinstance(value.get("url"), str):
            return {**value, "name": _name_of(value["url"])}
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Address:
        if self.name == "local" or self.name == "remote":
            raise ValueError(f"a remote cannot be called `{self.name}`: `--cache` has that word")
        if self.unsigned and self.scheme != "file":
            raise ValueError("only a file:// remote can be `unsigned`: sign what is pushed")
        if self.scheme != "s3":
            for field in ("endpoint", "region"):
                if getattr(self, field) is not None:
                    raise ValueError(f"`{field}` is for s3:// remotes")
        return self

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def host(self) -> str:
        """The host of an http address, with its port; else the bucket or container."""
        return urlsplit(self.url).netloc

    @property
    def path(self) -> str:
        """What stands after the host, with a leading `/` if there is anything."""
        return urlsplit(self.url).path


def _name_of(url: str) -> str:
    parts = urlsplit(url)
    last = parts.netloc.partition(":")[0] or parts.path.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-._") or parts.scheme


def _addresses(value: Any) -> Any:
    """`[s3://a/b]` is short for `[{url: s3://a/b}]`."""
    if not isinstance(value, list):
        return value
    return [{"url": item} if isinstance(item, str) else item for item in value]


class Cache(Entry):
    """What is kept, and what is shared with other machines. Remotes are asked in this order.

    `salt` is part of every key: another one disowns all that was ever shared.
    """

    remotes: Annotated[
        tuple[Address, ...],
        BeforeValidator(_addresses, json_schema_input_type=list[str | Address]),
        Field(strict=False, description="shared caches, asked in this order"),
    ] = ()
    salt: Annotated[str, Field(description="part of every key")] = ""
    keep_intermediates: Annotated[
        bool, Field(description="false: weights made on the way go when nothing needs them more")
    ] = True

    @model_validator(mode="after")
    def _each_name_once(self) -> Self:
        names = [remote.name for remote in self.remotes]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise ValueError(f"two remotes are called `{name}`: give one another `name:`")
        return self

    def remote(self, name: str) -> Address:
        """The remote of a name. Raises UsageError when there is none."""
        for remote in self.remotes:
            if remote.name == name:
                return remote
        known = [remote.name for remote in self.remotes]
        others = f"there are {', '.join(known)}" if known else "cortex.yaml names none: `cache:`"
        raise UsageError(f"there is no remote `{name}`", hint=did_you_mean(name, known, others))
