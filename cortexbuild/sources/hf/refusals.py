"""What the Hub's refusals mean for a person."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import IntegrityError, RemoteError, UsageError
from .._network import network_errors
from .origin import Origin


@contextmanager
def errors_of(asked: Origin, revision: str) -> Iterator[None]:
    """The client's errors in a person's words: what is wrong, and what to do about it."""
    from huggingface_hub import errors

    repo = f"hf:{asked.repo}"
    try:
        yield
    except IntegrityError as error:
        raise IntegrityError(f"{repo}: {error}", hint=error.hint) from error
    except errors.GatedRepoError as error:
        raise RemoteError(f"{repo} is gated, and {_token()}", hint=_page(asked)) from error
    except errors.RevisionNotFoundError as error:
        if re.fullmatch(r"[0-9a-f]{40}", revision):
            raise RemoteError(
                f"{repo} has no commit {revision[:12]} any more; what was built of it still works",
                hint="`cortexbuild lock --upgrade` takes what is there now",
            ) from error
        raise UsageError(f"{repo} has no revision `{revision}`", hint=_revisions(asked)) from error
    except errors.RepositoryNotFoundError as error:
        raise UsageError(
            f"{repo} does not exist, or may not be seen; {_token()}", hint=_near(asked)
        ) from error
    except errors.EntryNotFoundError as error:
        raise RemoteError(
            f"a file of {repo} is gone at {revision[:12]}",
            hint="`cortexbuild lock --upgrade` pins what is there now",
        ) from error
    except network_errors() as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status == 401:  # a repository that may not be seen is not found, and was told of above
            raise RemoteError(
                f"{repo}: the Hub does not know who asks (401), and {_token()}",
                hint="a token may be revoked or have expired: `hf auth login`, or set HF_TOKEN, "
                f"takes another; a gated repository also asks for access at {_address(asked)}",
            ) from error
        why = f"the server said {status}" if status else f"{type(error).__name__}: {error}"
        raise RemoteError(
            f"{repo} could not be reached: {why}",
            hint="what came is kept: run the same command again",
        ) from error


def _token() -> str:
    from huggingface_hub import constants, get_token

    if not get_token():
        return "no token was used"
    place = "HF_TOKEN" if os.environ.get("HF_TOKEN") else constants.HF_TOKEN_PATH
    return f"the token of {place} was used"


def _page(asked: Origin) -> str:
    return f"ask for access at {_address(asked)}, then `hf auth login`, or set HF_TOKEN"


def _address(asked: Origin) -> str:
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{asked.repo}"


def _revisions(asked: Origin) -> str:
    from huggingface_hub import HfApi

    try:
        refs = HfApi().list_repo_refs(asked.repo)
    except network_errors():  # it is only a hint
        return ""
    names = [ref.name for ref in (*refs.branches, *refs.tags)]
    return f"it has {', '.join(names[:8])}" if names else ""


def _near(asked: Origin) -> str:
    from huggingface_hub import HfApi

    owner, _, name = asked.repo.partition("/")
    try:
        found = [f"hf:{model.id}" for model in HfApi().list_models(search=name, limit=3)]
        found += [f"hf:{model.id}" for model in HfApi().list_models(author=owner, limit=3)]
    except network_errors():  # it is only a hint
        found = []
    names = list(dict.fromkeys(found))
    return f"did you mean {' or '.join(names[:4])}?" if names else "is the name right?"
