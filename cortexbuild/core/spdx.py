"""Licences by the names that SPDX has for them (https://spdx.org/licenses)."""

from __future__ import annotations

from collections.abc import Iterable

IDS = (
    "0BSD", "AFL-3.0", "AGPL-3.0", "AGPL-3.0-only", "AGPL-3.0-or-later", "Apache-2.0",
    "Artistic-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD-3-Clause-Clear", "BSL-1.0", "C-UDA-1.0",
    "CC-BY-2.0", "CC-BY-2.5", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-NC-2.0", "CC-BY-NC-3.0",
    "CC-BY-NC-4.0", "CC-BY-NC-ND-3.0", "CC-BY-NC-ND-4.0", "CC-BY-NC-SA-2.0", "CC-BY-NC-SA-3.0",
    "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC0-1.0",
    "CDLA-Permissive-1.0", "CDLA-Permissive-2.0", "CDLA-Sharing-1.0", "ECL-2.0", "EPL-1.0",
    "EPL-2.0", "EUPL-1.1", "EUPL-1.2", "GFDL-1.3", "GPL-2.0", "GPL-2.0-only", "GPL-2.0-or-later",
    "GPL-3.0", "GPL-3.0-only", "GPL-3.0-or-later", "ISC", "LGPL-2.1", "LGPL-2.1-only",
    "LGPL-2.1-or-later", "LGPL-3.0", "LGPL-3.0-only", "LGPL-3.0-or-later", "LPPL-1.3c", "MIT",
    "MPL-2.0", "MS-PL", "NCSA", "ODC-By-1.0", "ODbL-1.0", "OFL-1.1", "OSL-3.0", "OpenMDW-1.0",
    "PDDL-1.0", "PostgreSQL", "Python-2.0", "Unlicense", "WTFPL", "Zlib", "etalab-2.0",
)  # fmt: skip
"""Those that the Hub knows of, and what else models and their tools are under."""

HUB = {"odbl": "ODbL-1.0", "odc-by": "ODC-By-1.0", "pddl": "PDDL-1.0"}
"""Words of the Hub that are one licence and have no version."""

_BY_NAME = {name.lower(): name for name in IDS} | HUB


def spdx_id(licence: str) -> str | None:
    """The id of a licence, however it is written; None of one that has none, such as `llama3`."""
    return _BY_NAME.get(licence.lower())


def spdx_expression(licences: Iterable[str]) -> str | None:
    """All of several licences at once; None when SPDX has not each of them."""
    found = [spdx_id(licence) for licence in licences]
    return " AND ".join(sorted({name for name in found if name})) if all(found) else None
