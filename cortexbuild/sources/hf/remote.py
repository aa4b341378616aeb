"""What is asked of the Hub. With huggingface-hub."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from ...core.digest import Digest, File, Tree
from ...core.lock import Pinned
from ...core.ports import Looks
from ...errors import IntegrityError, UsageError, shown
from ...formats.code import code_files
from ...formats.detection import detect_files
from ...formats.files import CARD, LARGEST_NOTICE, model_files, notice_files, shard_of
from ...formats.foreign import MAX_HEADER
from .._download import TRIES, is_passing, wait
from .._network import content_of, network_errors, open_by_ranges
from .origin import Origin
from .refusals import errors_of

TIMEOUT = 30.0
"""Seconds to wait for an answer of the Hub."""


@dataclass(frozen=True, slots=True)
class HubFiles:
    """Files of a commit, as detection asks for them. Small ones are whole, others by ranges."""

    asked: Origin
    commit: str
    sizes: Mapping[str, int]
    whole: Mapping[str, bytes]

    def open(self, path: str) -> BinaryIO:
        if path in self.whole:
            return io.BytesIO(self.whole[path])
        return open_by_ranges(*_ranges(self, path))


def look_at(origin: str, asked: Origin, looks: Looks) -> Pinned:
    """Pin a repository: its commit, what of it matters, and what it is."""
    from huggingface_hub import HfApi

    del looks
    with errors_of(asked, asked.revision):
        info = _asking(
            lambda: HfApi().model_info(
                asked.repo, revision=asked.revision, files_metadata=True, timeout=TIMEOUT
            )
        )
        commit = str(info.sha)
        listed = {item.rfilename: item for item in info.siblings or []}
        whole: dict[str, bytes] = {}

        def file_of(path: str) -> File:
            lfs = listed[path].lfs
            if lfs is not None:
                return File(path, _digest(path, lfs.sha256), int(lfs.size))
            whole[path] = _content(asked, commit, path)  # in git, where its name is a sha1; small
            return File(path, _sha256(whole[path]), len(whole[path]))

        tree = Tree.of(map(file_of, _chosen(asked, listed)))  # names are looked at before contents
        sizes = {file.path: file.size for file in tree.files}
        if CARD in listed and not asked.file:
            whole[CARD] = _content(asked, commit, CARD)
            sizes[CARD] = len(whole[CARD])
        name = asked.repo.partition("/")[2]
        facts = detect_files(HubFiles(asked, commit, sizes, whole), name)
        if not asked.file:
            sizes |= dict.fromkeys((path for path in listed if path.endswith(".py")), 0)
        code = Tree.of(map(file_of, code_files(HubFiles(asked, commit, sizes, whole))))
        small = (path for path, item in listed.items() if (item.size or 0) <= LARGEST_NOTICE)
        notices = Tree.of(map(file_of, notice_files({*small}.difference(sizes))))
    return Pinned(origin, tree, facts.to_plain(), commit, code, notices)


def still_has(asked: Origin, pinned: Pinned) -> bool:
    """Whether a repository lists the large files of a pin as they are, and is not gated: who was
    let in once may be shut out."""
    from huggingface_hub import HfApi

    try:
        info = HfApi().model_info(
            asked.repo,
            revision=pinned.commit or asked.revision,
            files_metadata=True,
            timeout=TIMEOUT,
        )
    except network_errors():
        return False
    listed = {item.rfilename: item.lfs for item in info.siblings or []}
    large = {path: str(lfs.sha256) for path, lfs in listed.items() if lfs is not None}
    return not info.gated and all(
        large.get(file.path, file.digest) == file.digest and file.path in listed
        for file in pinned.tree.files
    )


def day_of(asked: Origin, commit: str) -> str:
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    url = f"{constants.ENDPOINT}/api/models/{asked.repo}/commits/{commit}"
    try:
        answer = get_session().get(url, params={"limit": 1}, headers=build_hf_headers())
        hf_raise_for_status(answer)
        return str(answer.json()[0]["date"])[:10]
    except network_errors():  # a date is only told
        return ""
    except (ValueError, LookupError, TypeError):  # an answer of another form
        return ""


def _asking(ask: Callable[[], Any]) -> Any:
    """Ask again where that may help: the client does not, for what it calls metadata."""
    for attempt in range(TRIES - 1):
        try:
            return ask()
        except network_errors() as error:
            if not is_passing(error):
                raise
            time.sleep(wait(error, attempt))
    return ask()


def address(asked: Origin, commit: str, path: str) -> tuple[str, Mapping[str, str]]:
    """The URL of a file at a commit, and the headers to ask with: a token if there is one."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    headers: dict[str, str] = build_hf_headers(library_name="cortexbuild")
    return hf_hub_url(asked.repo, path, revision=commit), headers


def _ranges(files: HubFiles, path: str) -> tuple[str, int, Mapping[str, str]]:
    url, headers = address(files.asked, files.commit, path)
    return url, files.sizes[path], headers


def _chosen(asked: Origin, listed: Mapping[str, Any]) -> list[str]:
    if not asked.file:
        found = model_files(listed)
        if not found:
            raise UsageError(
                f"hf:{asked.repo} has no file of a model",
                hint="name a repository with *.safetensors, *.gguf or PyTorch weights",
            )
        return found
    if asked.file not in listed:
        near = sorted(path for path in listed if path.endswith((".gguf", ".safetensors")))
        raise UsageError(
            f"hf:{asked.repo} has no file `{asked.file}`",
            hint=f"it has {', '.join(near)}" if near else "it has no weights in one file",
        )
    shard = shard_of(asked.file)
    names = [shard.sibling(n) for n in range(1, shard.count + 1)] if shard else [asked.file]
    return [name for name in names if name in listed]


def _content(asked: Origin, commit: str, path: str) -> bytes:
    url, headers = address(asked, commit, path)
    return bytes(_asking(lambda: content_of(url, headers, MAX_HEADER)[1]))


def _digest(path: str, said: object) -> Digest:
    """What the Hub says a file is. It becomes the name of a file here, so it has to be one."""
    if not isinstance(said, str) or not re.fullmatch(r"[0-9a-f]{64}", said):
        raise IntegrityError(
            f"{shown(path)}: {shown(str(said))} is no sha256",
            hint="this is no answer of the Hub; see whether HF_ENDPOINT is right",
        )
    return Digest(said)


def _sha256(content: bytes) -> Digest:
    import hashlib

    return Digest(hashlib.sha256(content).hexdigest())
