"""What must not be shown is taken out of every text that is shown or kept.

This is the second net: credentials are not put into messages in the first place, but a library's
error may quote the URL or the header that it was given.
"""

from __future__ import annotations

import os

HIDDEN = "…"
SHORTEST = 6
"""Letters of a secret that is looked for: to hide each `ci` would hide what a message is about."""

_NAMES = (
    r"(TOKEN|PASSWORD|PASSWD|SECRET|(ACCESS|ACCOUNT|STORAGE|SIGNING|API|SAS|SERVICE_ACCOUNT)_KEY)$"
)
_URL = r"""\b[A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s"'`<>]+"""
_QUERY = r"""([?&][\w.~%+-]+=)[^\s&#"'`<>]+"""
_HEADER = r"""(?i)\b((?:proxy-)?authorization\W{1,4}(?:bearer |basic |token )?|bearer )[^\s"',}]+"""
_OURS = r"\b(hf_)[A-Za-z0-9]{16,}|(:secret:)[A-Za-z0-9+/=]+"


def redacted(text: str) -> str:
    """`without_logins`, and without headers that say who one is, and without what tokens and
    passwords the environment has."""
    import re  # with it a sync with nothing to do would take longer

    for secret in _secrets():
        text = text.replace(secret, HIDDEN)
    text = re.sub(_OURS, lambda found: f"{found[1] or found[2]}{HIDDEN}", text)
    return without_logins(re.sub(_HEADER, rf"\1{HIDDEN}", text))


def without_logins(text: str) -> str:
    """Without what stands before `@` in its URLs, and without the values of their queries. The
    same everywhere, and so for what is recorded, too."""
    import re

    text = re.sub(_QUERY, rf"\1{HIDDEN}", text)
    return re.sub(_URL, lambda found: _without_login(found[0]), text)


def _without_login(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    place, question, query = f"{host.rpartition('@')[2]}{slash}{path}".partition("?")
    if question and "=" not in query:
        _, hash_, fragment = query.partition("#")
        query = f"{HIDDEN}{hash_}{fragment}"
    return f"{scheme}://{place}{question}{query}"


def _secrets() -> list[str]:
    """What the environment has of them, the longest first: one may be part of another."""
    import re
    from urllib.parse import quote, unquote

    found = set()
    for name, value in os.environ.items():
        if re.search(_NAMES, name):
            found.add(value.partition(":secret:")[2] if name == "CORTEX_SIGNING_KEY" else value)
        for login in re.findall(r"://[^\s/@]*:([^\s/]+)@", value):  # of a proxy, of an index
            found |= {login, unquote(login)}
    found = {secret.strip() for secret in found}  # as who uses one does
    found |= {quote(secret, safe="") for secret in found}
    return sorted((s for s in found if len(s) >= SHORTEST), key=len, reverse=True)
