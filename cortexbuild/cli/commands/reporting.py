"""`report` and `compare`: a project as one page to look at, and its models side by side."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...app.compare import find_all, write_each
from ...app.project import Project
from ...app.report import Report, report
from ...errors import StoreError, UsageError
from .. import page, sidebyside
from ..beside import read_run
from ..jsontext import document
from ..planned import plain_reason
from .command import (
    Command,
    add_json,
    add_targets,
    open_project,
    print_json,
    warn_if_stale,
)
from .running import add_length, prompt_of, sampling_of


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    add_targets(parser)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE",
        help="where to write the page (default: report.html), or what is asked for by --sbom",
    )  # fmt: skip
    add_json(parser)
    parser.add_argument(
        "--sbom", action="store_true",
        help="what built targets are made of, as CycloneDX 1.6 (JSON, on stdout without -o)",
    )  # fmt: skip
    parser.add_argument(
        "--timestamp", action="store_true",
        help="with --sbom: say when; without, the same set gives the same bytes",
    )  # fmt: skip


def _report(args: argparse.Namespace) -> int:
    if args.timestamp and not args.sbom:
        raise UsageError(
            "`--timestamp` is for `--sbom`: a report always says when",
            hint="leave it out, or give `--sbom` too",
        )
    project = open_project(args)
    names = project.plan.select(args.targets)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    if args.sbom:
        return _sbom(project, names, at if args.timestamp else "", args.output)
    fields = plain_report(report(project, names, read_run(project.root), at))
    if args.json:
        print_json("report/1", fields)
        return 0
    _write(page.fill(document("report/1", fields)), args.output or Path("report.html"))
    return 0


def _write(text: str, path: Path) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}",
            hint="name a file in a folder that is there and that you may write to: `-o FILE`",
        ) from error
    print(path.absolute())


def _sbom(project: Project, names: Sequence[str], at: str, path: Path | None) -> int:
    from ...app.sbom import bill_of  # not needed by any other command
    from ...core import cyclonedx

    bill = bill_of(project, names)
    for target in bill.missing:
        said = f"warning: {target} is not built as cortex.yaml has it, and left out"
        print(said, file=sys.stderr)
    if not bill.components:
        raise StoreError(
            "nothing is built that it could be about", hint="`cortexbuild sync` builds it"
        )
    found = cyclonedx.document(bill.components, bill.below, project.root.name, at)
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    if path is None:
        sys.stdout.write(text)
    else:
        _write(text, path)
    return 0


def plain_report(found: Report) -> Mapping[str, Any]:
    """As JSON has it: reasons as `plan --json` writes them, and no number that JSON has not."""
    fields = asdict(found)
    for row, node in zip(fields["steps"], found.steps, strict=True):
        row["reasons"] = [plain_reason(reason) for reason in node.reasons]
    plain: Mapping[str, Any] = _finite(fields)
    return plain


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="+", metavar="TARGET", help="`model:target`, with * and ?")
    parser.add_argument("--prompt", required=True, help="the text to continue; `-` reads stdin")
    add_length(parser)
    add_json(parser)


def _compare(args: argparse.Namespace) -> int:
    sampling, prompt = sampling_of(args), prompt_of(args)
    project = open_project(args)
    targets = find_all(project, args.targets)
    if len(targets) < 2:
        raise UsageError(
            f"`{args.targets[0]}` names one target, and comparing takes two",
            hint="name two, or a pattern that several match, as `model:*`",
        )
    for built in targets:
        warn_if_stale(built)
    found = write_each(project, targets, prompt, sampling, _tell)
    if args.json:
        print_json("compare/1", {"prompt": prompt, "targets": [asdict(one) for one in found]})
    else:
        sidebyside.show(found)
    return 0


def _tell(target: str) -> None:
    if sys.stderr.isatty():
        print(f"  run   {target}", file=sys.stderr)


COMMANDS = (
    Command("report", "one HTML page of all there is to see", _report_arguments, _report),
    Command("compare", "what several targets make of one prompt", _compare_arguments, _compare),
)
