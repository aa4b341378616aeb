"""`generate`: run a built target."""

from __future__ import annotations

import argparse
import sys
import time

from ...app.generate import find_built, load_built
from ...core.ports import Sampling
from ...errors import UsageError, plain
from ...runtimes.torchless import leave_out_torch
from .command import Command, add_json, add_target, open_project, print_json, warn_if_stale


def _arguments(parser: argparse.ArgumentParser) -> None:
    default = Sampling()
    add_target(parser)
    parser.add_argument("prompt", metavar="PROMPT", help="the text to continue; `-` reads stdin")
    add_length(parser)
    parser.add_argument(
        "--temperature", type=float, default=default.temperature, metavar="T", help="0 is greedy"
    )
    parser.add_argument("--top-p", type=float, default=default.top_p, metavar="P")
    parser.add_argument("--top-k", type=int, default=default.top_k, metavar="K")
    parser.add_argument(
        "--repetition-penalty", type=float, default=default.repetition_penalty, metavar="X"
    )
    parser.add_argument("--seed", type=int, default=default.seed, metavar="N")
    parser.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help="end before it; may be repeated"
    )
    add_json(parser)


def add_length(parser: argparse.ArgumentParser) -> None:
    """What every command that lets a model write has."""
    parser.add_argument("--chat", action="store_true", help="as a message, in the model's template")
    parser.add_argument("--max-tokens", type=int, default=Sampling().max_tokens, metavar="N")


def _generate(args: argparse.Namespace) -> int:
    sampling = sampling_of(args)
    prompt = prompt_of(args)
    project = open_project(args)
    built = find_built(project, args.target)
    warn_if_stale(built)
    if args.alone and built.format.startswith("mlx"):
        leave_out_torch()
    model = load_built(project, built)
    started = time.monotonic()
    to_terminal, pieces = sys.stdout.isatty(), list[str]()
    for piece in model.generate(prompt, sampling):
        pieces.append(piece)
        if not args.json:
            sys.stdout.write(plain(piece) if to_terminal else piece)
            sys.stdout.flush()
    if args.json:
        seconds = round(time.monotonic() - started, 3)
        fields = {"target": built.target, "prompt": prompt, "text": "".join(pieces)}
        print_json("generate/1", {**fields, "digest": built.tree.digest, "seconds": seconds})
    else:
        sys.stdout.write("\n")
    return 0


def prompt_of(args: argparse.Namespace) -> str:
    """Raises UsageError for what no tokenizer could read."""
    try:
        prompt = sys.stdin.read() if args.prompt == "-" else str(args.prompt)
        prompt.encode()
    except UnicodeError as error:
        raise UsageError(
            "the prompt is not a text", hint="write it in UTF-8, as `iconv -t UTF-8` does"
        ) from error
    return prompt


def sampling_of(args: argparse.Namespace) -> Sampling:
    """Raises UsageError for a setting that makes no sense. What a command has not is greedy."""
    names = ("max_tokens", "temperature", "top_p", "top_k", "repetition_penalty", "seed", "chat")
    given = {name: getattr(args, name) for name in names if hasattr(args, name)}
    sampling = Sampling(**given, stop=tuple(getattr(args, "stop", ())))
    for name, value, low, high in (
        ("--max-tokens", sampling.max_tokens, 1, 1 << 20),
        ("--temperature", sampling.temperature, 0, 100),
        ("--top-p", sampling.top_p, 1e-6, 1),
        ("--top-k", sampling.top_k, 0, 1 << 20),
        ("--repetition-penalty", sampling.repetition_penalty, 1e-6, 100),
    ):
        if not low <= value <= high:
            raise UsageError(
                f"{name} must be between {low:,} and {high:,}, not {value:,}",
                hint="choose a number within these limits",
            )
    return sampling


COMMANDS = (Command("generate", "run a built target", _arguments, _generate),)
