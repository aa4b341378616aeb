"""A built target as a commit on the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import RemoteError
from ..sources.hf.origin import Origin
from ..sources.hf.refusals import errors_of
from ..store.local import LocalStore
from . import Package
from .names import split_name


@dataclass(frozen=True, slots=True)
class Pushed:
    """`was_there` when the Hub had all of it already, so that there is no new commit."""

    url: str
    commit: str
    was_there: bool


def push(store: LocalStore, package: Package, repo: str, branch: str, *, private: bool) -> Pushed:
    """One commit with all of it; what the Hub has already is not sent. Files that are there beside
    it stay: a repository may hold several targets."""
    from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token

    split_name(repo)
    if not get_token():
        raise RemoteError(
            f"no token to write to {constants.ENDPOINT} with",
            hint="`hf auth login`, or set HF_TOKEN to one that may write",
        )
    api = HfApi(library_name="cortexbuild")
    operations = [
        CommitOperationAdd(path, str(store.blob(file.digest)))
        for path, file in package.files.items()
    ]
    operations += [CommitOperationAdd(path, text) for path, text in package.texts.items()]
    with _errors(repo, branch):
        api.create_repo(repo, private=private or None, exist_ok=True)
        if branch != constants.DEFAULT_REVISION:
            api.create_branch(repo, branch=branch, exist_ok=True)
        before = api.model_info(repo, revision=branch).sha
        message = f"{package.target}, built by cortexbuild"
        done = api.create_commit(repo, operations, commit_message=message, revision=branch)
    return Pushed(f"{api.endpoint}/{repo}/tree/{branch}", done.oid, done.oid == before)


@contextmanager
def _errors(repo: str, branch: str) -> Iterator[None]:
    from huggingface_hub.errors import HfHubHTTPError

    try:
        with errors_of(Origin(repo, branch), branch):
            yield
    except RemoteError as error:
        cause = error.__cause__
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if isinstance(cause, HfHubHTTPError) and status in (401, 403):
            raise RemoteError(
                f"the token may not write to {repo}",
                hint="it needs write access: `hf auth login` with another, or set HF_TOKEN",
            ) from error
        raise
