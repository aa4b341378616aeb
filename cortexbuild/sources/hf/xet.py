"""Files that the Hub keeps in its xet storage: brought by hf_xet, in parallel and by chunks.

huggingface-hub decides as here: where the answer to a HEAD names a xet file, and hf_xet is
installed and not switched off by HF_HUB_DISABLE_XET. When it fails, plain HTTP brings the file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from ...core.digest import File
from .._network import network_errors

SETTINGS = {
    "HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "3",
    "HF_XET_CLIENT_RETRY_BASE_DELAY": "1s",
    "HF_XET_CLIENT_CONNECT_TIMEOUT": "10s",
    "HF_XET_CLIENT_READ_TIMEOUT": "30s",
}
"""Of hf_xet, unless the user has others. By itself it waits up to 3, 9, 27, 81 and 243 s for a
storage that fails, and six times five minutes for one that says nothing. Plain HTTP is sooner."""

LOOK = 0.25
"""Seconds between looks at how much has come."""


class Xet:
    """The xet storage for the files of one fetch: once it has failed, it is not asked again."""

    def __init__(self) -> None:
        self._failed = False

    def bring(
        self, file: File, url: str, headers: Mapping[str, str], part: Path,
        moved: Callable[[int], None],
    ) -> None:  # fmt: skip
        """Bring all of a file to `part`, or nothing of it; what was begun there stays as it is."""
        from huggingface_hub import errors, file_download

        if self._failed or not file_download.is_xet_available() or part.stat().st_size:
            return
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)  # it reads them when it is first used
        failures: tuple[type[Exception], ...] = (errors.XetDownloadError, RuntimeError, ValueError)
        try:
            known = file_download.get_hf_file_metadata(url, headers=dict(headers))
            if known.xet_file_data is None:
                return
            with _told(part, moved):
                file_download.xet_get(
                    incomplete_path=part, xet_file_data=known.xet_file_data, headers=dict(headers),
                    expected_size=file.size, displayed_filename=file.path,
                )  # fmt: skip
        except (*failures, *network_errors()) as error:
            logging.getLogger(__name__).warning("%s: not by xet: %s", file.path, error)
            moved(-part.stat().st_size)
            part.write_bytes(b"")
            self._failed = True


@contextmanager
def _told(part: Path, moved: Callable[[int], None]) -> Iterator[None]:
    """Tell of the bytes that come into a file, which hf_xet writes from its start to its end."""
    ended, told = Event(), 0

    def tell() -> None:
        nonlocal told
        size = part.stat().st_size
        if size != told:
            moved(size - told)
        told = size

    def watch() -> None:
        while not ended.wait(LOOK):
            tell()

    watching = Thread(target=watch, name="xet", daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()
        tell()
