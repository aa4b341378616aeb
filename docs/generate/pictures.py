"""Draw docs/pictures: a terminal and the report, of a real sync of this repository in a new home.

`make pictures`. It takes minutes, since models are built; nothing of it is made up.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
COLUMNS = 96
OURS = [sys.executable, "-P", "-m", "cortexbuild"]
SHOWN = (
    "sync",
    "list",
    "generate stdlib-llama:mlx-4bit 'import os' --max-tokens 24",
    "sync",
)
# Fonts of the reader's machine: a picture that loads one tells another host who looks at it.
FORMAT = re.sub(r"@font-face \{\{.*?\n    \}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "cortexbuild")  # its name stands in the report
        for name in ("examples", "recipes"):
            shutil.copytree(ROOT / name, project / name)
        for name in ("cortex.yaml", "cortex.lock"):
            shutil.copy(ROOT / name, project)
        home = Path(folder, "home")
        environment = {
            **os.environ, "CORTEX_HOME": str(home), "COLUMNS": str(COLUMNS),
            "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        terminal(list(said(project, environment)))
        page = Path(folder, "report.html")
        subprocess.run([*OURS, "report", "-o", page], cwd=project, env=environment, check=True)
        report(page, Path(folder, "browser"))


def said(project: Path, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each command with what it says, in the order in which a terminal shows it."""
    for line in SHOWN:
        done = subprocess.run(
            [*OURS, *shlex.split(line)], cwd=project, env=environment, check=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        yield line, done.stdout.replace(environment["CORTEX_HOME"], "~/.cortex")


def terminal(lines: list[tuple[str, str]]) -> None:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for line, text in lines:
        console.print(Text.assemble(("$ ", "dim"), (f"cortexbuild {line}", "bold")))
        console.print(Text(text))
    PICTURES.mkdir(exist_ok=True)
    console.save_svg(
        str(PICTURES / "sync.svg"), title="cortexbuild", code_format=FORMAT, unique_id="sync"
    )


def report(page: Path, profile: Path) -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    from browser.chromium import Chromium, find_chromium

    program = find_chromium()
    assert program is not None, "no Chromium: `make browser`"
    browser = Chromium(program, profile)
    try:
        browser.open(page, width=1000, height=1180).screenshot(PICTURES / "report.png", whole=False)
    finally:
        browser.close()


if __name__ == "__main__":
    main()
