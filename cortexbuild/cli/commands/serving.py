"""`serve`: the runtime's own OpenAI-compatible server, on a built target."""

from __future__ import annotations

import argparse
import sys

from ...app.generate import find_built
from ...errors import ToolError, UsageError
from ..serving import check_installed, find_port, is_loopback, running, wait_until_ready
from .command import Command, add_json, add_target, open_project, print_json, warn_if_stale


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument(
        "--port", type=int, default=8080, metavar="N", help="0 takes a free one (default: 8080)"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS",
        help="where to listen; without one, only programs on this machine are served",
    )  # fmt: skip
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="show what the server itself says"
    )
    parser.add_argument(
        "more", nargs="*", metavar="-- OPTION", help="options of the runtime's own server"
    )
    add_json(parser)


def _serve(args: argparse.Namespace) -> int:
    if not 0 <= args.port < 1 << 16:
        raise UsageError(
            f"--port must be between 0 and 65535, not {args.port}",
            hint="leave it out, and a free one is taken",
        )
    project = open_project(args)
    built = find_built(project, args.target)
    runtime = project.find_runtime(built.format)
    if runtime.server is None:
        raise ToolError(
            f"nothing here serves {built.format} models",
            hint="add a target in GGUF or MLX, as `gguf-q4_k_m` or `mlx-4bit`",
        )
    warn_if_stale(built)
    if not is_loopback(args.host):
        said = f"whoever reaches {args.host} can use this model: it asks for no password"
        print(f"warning: {said}", file=sys.stderr)
    port = find_port(args.host, args.port)
    # Where the view leads now: another sync may let it show another tree.
    server = runtime.server(built.path.resolve(), built.target, args.host, port)
    check_installed(server)
    with running(server, args.more, loud=args.verbose) as child:
        wait_until_ready(child, args.host, port, server.model)
        host = f"[{args.host}]" if ":" in args.host else args.host
        url = f"http://{host}:{port}/v1"
        if args.json:
            fields = {"target": built.target, "url": url, "model": server.model}
            print_json("serve/1", {**fields, "pid": child.pid, "digest": built.tree.digest})
        else:
            print(f"{built.target} is served at {url} as `{server.model}`; Ctrl-C ends it")
        sys.stdout.flush()
        code = child.wait()
        raise ToolError(f"the server ended with {code}", hint="`-v` shows what it says")


COMMANDS = (Command("serve", "answer OpenAI's API with a built target", _arguments, _serve),)
