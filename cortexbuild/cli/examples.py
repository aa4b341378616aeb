"""Examples of every command, which `--help` ends with; tests read each with the real parser."""

from __future__ import annotations

EXAMPLES = {
    "sync": (
        ("cortexbuild sync", "all targets"),
        ("cortexbuild sync 'chat:mlx-*' -j 2", "some, two steps at once"),
        ("cortexbuild sync --locked --keep-going", "in CI"),
        ("cortexbuild sync --cache remote:rw", "and send what was made to the team's cache"),
    ),
    "lock": (
        ("cortexbuild lock", "pin what cortex.lock lacks"),
        ("cortexbuild lock --upgrade chat", "look again where the sources of `chat` are now"),
    ),
    "plan": (("cortexbuild plan", "what would a sync do?"),),
    "why": (("cortexbuild why chat:mlx-4bit", "what changed since it was built?"),),
    "list": (("cortexbuild list", "what is built, and where"),),
    "info": (
        ("cortexbuild info chat:mlx-4bit", "of a built target"),
        ("cortexbuild info models/base", "of a folder"),
    ),
    "path": (("cortexbuild path chat:mlx-4bit", "for scripts"),),
    "verify": (
        ("cortexbuild verify", "read every file of the store"),
        ("cortexbuild verify --rebuild chat:mlx-4bit", "build it twice and compare"),
    ),
    "provenance": (("cortexbuild provenance chat:mlx-4bit", "an in-toto statement"),),
    "cache ls": (("cortexbuild cache ls", "every artifact, its class and last use"),),
    "cache stats": (("cortexbuild cache stats", "how much there is, and for whom"),),
    "cache verify": (
        ("cortexbuild cache verify --remote team", "is what a remote has what it says?"),
    ),
    "cache gc": (
        ("cortexbuild cache gc --keep 200GB --dry-run", "what would go?"),
        ("cortexbuild cache gc --older-than 30d", "what was not used for a month"),
    ),
    "status": (("cortexbuild status", "lock, steps and targets in one screen"),),
    "diff": (
        ("cortexbuild diff chat:mlx-4bit chat:mlx-8bit", "two targets"),
        ("cortexbuild diff old.lock cortex.lock", "two locks"),
    ),
    "generate": (
        ("cortexbuild generate chat:mlx-4bit 'import os' --max-tokens 60", "greedy"),
        (
            "cortexbuild generate chat:mlx-4bit 'Who are you?' --chat --temperature 0.7",
            "as a message",
        ),
    ),
    "report": (("cortexbuild report -o report.html", "one HTML page of it all"),),
    "compare": (
        (
            "cortexbuild compare chat:mlx-4bit chat:mlx-8bit --prompt 'import os'",
            "what each writes",
        ),
    ),
    "recipes": (("cortexbuild recipes", "every way to build"),),
    "init": (("cortexbuild init models/base", "of a model that you have"),),
    "schema": (("cortexbuild schema", "for an editor"),),
    "push": (("cortexbuild push chat:mlx-4bit", "what is built, to the remotes"),),
    "pull": (("cortexbuild pull", "from the remotes, and build nothing"),),
    "keys new": (("cortexbuild keys new ci-2026", "a key to sign with"),),
    "keys list": (("cortexbuild keys list", "who is believed here"),),
    "keys trust": (
        (
            "cortexbuild keys trust ci-2026:lwgC93J0a3xKHEJL1WPRvaNaa6HtSEyTxYUcOIiUIyc=",
            "believe what it signed",
        ),
    ),
    "keys export": (("cortexbuild keys export ci-2026", "its public half, for `trust:`"),),
    "worker": (
        (
            "cortexbuild worker --scheduler tls://build-1:8786 --memory 48GiB --jobs 2",
            "this machine, or part of it",
        ),
    ),
    "scheduler": (("cortexbuild scheduler --listen tls://0.0.0.0:8786", "on one machine"),),
    "cluster workers": (
        ("cortexbuild cluster workers --scheduler tls://build-1:8786", "who is there?"),
    ),
    "cluster certificates": (
        ("cortexbuild cluster certificates certs", "an authority and a first pair"),
    ),
    "bundle export": (
        ("cortexbuild bundle export -o set.tar.zst", "all that is built, and what it stands on"),
    ),
    "bundle import": (("cortexbuild bundle import set.tar.zst", "then `sync --offline`"),),
    "add": (
        ("cortexbuild add hf:org/name", "in what suits it and this machine"),
        ("cortexbuild add path:models/base --as chat --target mlx-4bit mlx-8bit", "a folder"),
        ("cortexbuild add chat:gguf-q4_k_m", "one more target of a model"),
    ),
    "remove": (("cortexbuild remove chat:mlx-8bit", "a target, or without it the model"),),
    "import": (("cortexbuild import Modelfile", "or model.yaml, a compose file, a Kitfile, …"),),
    "log": (("cortexbuild log chat:mlx-4bit", "what its steps said when they last ran"),),
    "outdated": (("cortexbuild outdated", "which branches, tags and tools have moved on?"),),
    "watch": (("cortexbuild watch 'chat:*'", "build again what changes, until Ctrl-C"),),
    "doctor": (("cortexbuild doctor", "what is wrong here, and what puts it right?"),),
    "export": (
        ("cortexbuild export chat:gguf-q4_k_m --to ollama", "by links where the disk has them"),
        ("cortexbuild export chat:mlx-4bit --to lmstudio", "to LM Studio's folder"),
    ),
    "push-to-hub": (
        ("cortexbuild push-to-hub chat:mlx-4bit org/chat-4bit --private", "with a model card"),
    ),
    "serve": (("cortexbuild serve chat:mlx-4bit --port 8080", "OpenAI's API, on this machine"),),
    "completion": (("cortexbuild completion bash", "`eval` it in ~/.bashrc"),),
}
"""A command line and what it is for, by the name of its command."""

FIRST_STEPS = (
    ("cortexbuild init", "begin with what this machine has"),
    ("cortexbuild add hf:org/name", "put a model into it"),
    ("cortexbuild sync", "build what is not up to date"),
    ("cortexbuild generate name hello", "try what was built"),
)
"""For who names no command."""


def first_steps() -> str:
    more = (
        ("cortexbuild --help", "every command"),
        ("cortexbuild sync --help", "its options, with examples"),
    )
    wide = max(len(line) for line, _ in FIRST_STEPS)
    first, rest = (
        "\n".join(f"  {line.ljust(wide)}  {what}" for line, what in rows)
        for rows in (FIRST_STEPS, more)
    )
    return f"The first steps:\n\n{first}\n\nAnd then:\n\n{rest}"


def epilog_of(name: str) -> str:
    """The end of a command's help; nothing for a name of several commands."""
    found = [f"  {line}  # {what}" for line, what in EXAMPLES.get(name, ())]
    return "\n".join(["examples:", *found]) if found else ""
