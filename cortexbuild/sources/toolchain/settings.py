"""How pip is set up here: its configuration files, and its environment variables."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from ...processes import ask

_OFF = ("", "0", "false", "off", "no", "n", "f")
_READ = ("index-url", "extra-index-url", "no-index", "cert", "proxy", "trusted-host")


def pip_settings() -> Mapping[str, str]:
    """Settings by the names that pip.conf has for them. What is off or empty is left out."""
    code, listed = ask([sys.executable, "-P", "-m", "pip", "config", "list"], "index")
    if code != 0:  # an environment without pip, as uv makes them
        return _from_environment()
    return merged(listed.splitlines())


def merged(lines: Sequence[str]) -> Mapping[str, str]:
    """What `pip config list` says, the more special section winning, as in pip itself."""
    sections: dict[str, dict[str, str]] = {"global": {}, "download": {}, ":env:": {}}
    for line in lines:
        name, equals, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if equals and section in sections:
            with suppress(ValueError, SyntaxError):
                sections[section][key] = str(ast.literal_eval(value))
    found = {**sections["global"], **sections["download"], **sections[":env:"]}
    return {key: value for key, value in found.items() if value.lower() not in _OFF}


def _from_environment() -> Mapping[str, str]:
    lines = [
        f":env:.{name}={os.environ[key]!r}"
        for name in _READ
        if (key := f"PIP_{name.upper().replace('-', '_')}") in os.environ
    ]
    return merged(lines)
