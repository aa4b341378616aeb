"""Read the command line, run one command, choose the exit code."""

from __future__ import annotations

import os
import signal
import sys

from ..errors import CortexError, UsageError
from ..redaction import redacted
from .complaint import tell
from .seal import quickly, seal_for

TYPE_CHECKING = False  # as in cortexbuild/__init__.py
if TYPE_CHECKING:
    from types import FrameType

BUG = 70
INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    try:
        code = quickly(words)
        return _run(words, alone=argv is None) if code is None else code
    except CortexError as error:
        return tell(error)
    except KeyboardInterrupt:
        print("interrupted; finished steps are kept", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        sys.stderr.close()
        return 0
    except Exception as error:
        if isinstance(error, OSError) and (known := _of_disk(error)) is not None:
            return known
        from .bug import report  # with traceback, a third of what a sync with nothing to do imports

        print(redacted(report(error, words)), file=sys.stderr)
        return BUG


def _of_disk(error: OSError) -> int | None:
    """The exit code of an error that a disk made, which was told; None for any other."""
    from ..store.trouble import told
    from .home import home

    known = told(error, home())
    return None if known is None else tell(known)


def _run(words: list[str], *, alone: bool) -> int:
    """`alone` when this process is there for this one command."""
    from contextlib import redirect_stdout
    from io import StringIO

    from .parser import parse  # and with it all that commands need

    args = parse(words)
    args.alone = alone
    signal.signal(signal.SIGTERM, _interrupt)
    if args.folder:
        _enter(args.folder)
    if args.offline:
        os.environ["CORTEX_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"
    if args.no_color:
        os.environ["NO_COLOR"] = "1"
    seal = seal_for(words)
    if seal is None:
        return int(args.run(args))
    with redirect_stdout(StringIO()) as said:
        code = int(args.run(args))
    sys.stdout.write(said.getvalue())
    if code == 0:
        seal.keep(words, said.getvalue())
    return code


def _enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise UsageError(
            f"`-C {folder}`: {error.strerror}",
            hint="name a folder that is there; `-C` counts from where you are",
        ) from error


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
