"""A file at a URL of a server nearby. What comes is compared with its sha256, as over https."""

from __future__ import annotations

from dataclasses import replace

from . import https

SOURCE = replace(https.SOURCE, scheme="http")
