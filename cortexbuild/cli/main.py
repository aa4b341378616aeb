"""Read the command line, run one command, choose the exit code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import TypeAlias

from ..errors import CortexError, UsageError
from ..version import VERSION
from . import commands
from .commands.command import Command

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

BUG = 70
INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if args.folder:
            _enter(args.folder)
        if args.offline:
            os.environ["CORTEX_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"
        if args.no_color:
            os.environ["NO_COLOR"] = "1"
        return int(args.run(args))
    except CortexError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"\nhint: {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; finished steps are kept", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        sys.stderr.close()
        return 0
    except Exception:
        traceback.print_exc()
        print("error: this is a bug in cortexbuild; please report it", file=sys.stderr)
        return BUG


def _enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise UsageError(f"`-C {folder}`: {error.strerror}") from error


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cortexbuild", description="Build local language models from cortex.yaml."
    )
    parser.add_argument("--version", action="version", version=f"cortexbuild {VERSION}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in commands.COMMANDS:
        _add(subparsers, command)
    return parser


def _add(subparsers: Subparsers, command: Command) -> None:
    sub = subparsers.add_parser(command.name, help=command.summary, description=command.summary)
    if command.parts:
        below = sub.add_subparsers(required=True, metavar="COMMAND")
        for part in command.parts:
            _add(below, part)
        return
    sub.set_defaults(run=command.run)
    sub.add_argument(
        "-m", "--manifest", type=Path, default=Path("cortex.yaml"), metavar="FILE",
        help="the manifest (default: cortex.yaml)",
    )  # fmt: skip
    sub.add_argument("-C", dest="folder", metavar="DIR", help="as if started in DIR")
    sub.add_argument("--no-color", action="store_true", help="no colours; also NO_COLOR=1")
    sub.add_argument("--offline", action="store_true", help="never use the network")
    command.arguments(sub)


if __name__ == "__main__":
    sys.exit(main())
