"""The machines that steps run on, as cortex.yaml names them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .document import Entry

HERE = "local"
"""Stands for a scheduler's address, and is a cluster of this machine alone."""


class Cluster(Entry):
    """A Dask cluster. `ca`, `cert` and `key` are files, relative to cortex.yaml."""

    dask: Annotated[
        str, Field(description="the scheduler, as `tls://HOST:8786`; or `local`, this machine")
    ]
    ca: Annotated[str | None, Field(description="certificate (PEM) of the authority")] = None
    cert: Annotated[str | None, Field(description="certificate (PEM) of who runs `sync`")] = None
    key: Annotated[str | None, Field(description="its key (PEM), which nobody else can read")] = (
        None
    )
    wait: Annotated[
        float,
        Field(gt=0, description="seconds to wait for a worker that can run a step, then it fails"),
    ] = 60.0
