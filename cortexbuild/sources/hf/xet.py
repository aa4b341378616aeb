"""Files that the Hub keeps in its xet storage: brought by hf_xet, in parallel and by chunks.

huggingface-hub decides as here: where the answer to a HEAD names a xet file, and hf_xet is
installed and not switched off by HF_HUB_DISABLE_XET. When it fails, plain HTTP brings the file.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from ...core.digest import File
from .._network import network_errors


def bring_by_xet(file: File, url: str, headers: Mapping[str, str], part: Path) -> bool:
    """Whether xet has the file and brought all of it to `part`; else `part` is empty."""
    from huggingface_hub import errors, file_download

    if not file_download.is_xet_available() or part.stat().st_size:
        return False  # what plain HTTP began it also ends
    failures: tuple[type[Exception], ...] = (errors.XetDownloadError, RuntimeError, ValueError)
    try:
        known = file_download.get_hf_file_metadata(url, headers=dict(headers))
        if known.xet_file_data is None:
            return False
        file_download.xet_get(
            incomplete_path=part, xet_file_data=known.xet_file_data, headers=dict(headers),
            expected_size=file.size, displayed_filename=file.path,
        )  # fmt: skip
    except (*failures, *network_errors()) as error:
        logging.getLogger(__name__).warning("%s: not by xet: %s", file.path, error)
        part.write_bytes(b"")
        return False
    return part.stat().st_size == file.size
