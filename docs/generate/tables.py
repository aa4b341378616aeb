"""Exit codes and environment variables: what each means, which the code cannot say by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cortexbuild import processes

ROOT = Path(__file__).parents[2]
EXIT_CODES = {
    0: "all is well",
    1: "a step failed, or needs more memory than there is; or a target was judged not good enough; "
    "or a tool is missing",
    2: "the command line, the manifest or a recipe is wrong; nothing was built",
    3: "`--check` or `--locked` found something that is not up to date",
    4: "a lock was not obtained",
    5: "another machine could not be reached, or would not give what was asked",
    6: "bytes are not what their name says, or not what `cortex.lock` recorded",
    70: "a bug in cortexbuild",
    130: "interrupted; finished steps are kept",
}
VARIABLES = {
    "`CORTEX_HOME`": "where everything is kept; `~/.cortex` if unset",
    "`CORTEX_LLAMA_CPP`": "a folder of llama.cpp's sources, whose converter is then used",
    "`CORTEX_OFFLINE`": "`1`: never use the network, as `--offline`",
    "`CORTEX_CACHE`": "what of the remotes is read and written, as `--cache`: `remote:rw`",
    "`CORTEX_SIGNING_KEY`": "what to sign with: `NAME:secret:BASE64`, or the path of a key file",
    "`CORTEX_TLS_CA`, `CORTEX_TLS_CERT`, `CORTEX_TLS_KEY`": "certificates for "
    "[a cluster](../guides/run-on-a-cluster.md), as `--tls-ca`, `--tls-cert` and `--tls-key`",
    "`CORTEX_REMOTE_<NAME>_TOKEN`, or `CORTEX_REMOTE_<NAME>_USER` and `…_PASSWORD`": "who one is "
    "to the http remote of that name, before `~/.netrc`",
    "`NETRC`": "another file than `~/.netrc`, which `https:` sources use too",
    "`HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_OFFLINE`": ""
    "what they mean to huggingface-hub",
    "`HF_HUB_DISABLE_XET`": "`1`: bring files of the Hub by plain HTTP alone",
    "`HF_XET_…`": "what they mean to hf_xet; unless set, it gives up sooner here than by itself",
    "`AWS_…`, `GOOGLE_…`, `AZURE_…`": "what they mean to those clouds: "
    "[a cache in a bucket](../guides/share-a-cache-with-s3.md)",
    "`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`": "as usual, for remotes too",
    "`PIP_…`": "pip's own, for the index that llama.cpp's converter comes from",
    "`OLLAMA_MODELS`": "where Ollama keeps its models, to adopt from and to export to; "
    "`init` and `import` look there too",
    "`NO_COLOR`": "no colours",
    "`TERM`, `CI`": "`TERM=dumb`, or any `CI`: no live lines, but one for each step that ended",
}
"""A test compares these with what the code reads."""
TOLD = {
    "the person": (*processes.PERSON, *(f"{one}…" for one in processes.PREFIXES["machine"])),
    "programs": processes.PROGRAMS,
    "libraries": processes.LIBRARIES,
    "threads": processes.THREADS,
    "devices": processes.DEVICES,
}
TO_THE_NETWORK = {
    "pip's indexes": processes.PIP,
    "the network": processes.NETWORK,
    "remotes": tuple(f"{one}…" for one in processes.NETWORK_PREFIXES),
}


def exit_codes() -> str:
    return "# Exit codes\n\n" + _table(("code", "meaning"), EXIT_CODES)


def environment() -> str:
    told = {what: _names(names) for what, names in TOLD.items()}
    more = {what: _names(names) for what, names in TO_THE_NETWORK.items()}
    return (
        "# Environment\n\n"
        + _table(("variable", "meaning"), VARIABLES)
        + "\n## What a process is told\n\nA step's process gets these, as far as they are set, and "
        "nothing else, so that no other variable\ndecides what comes out, and no credential can be "
        "printed or sent by it:\n\n"
        + _table(("of", "variables"), told)
        + "\n`OPENBLAS_NUM_THREADS` is 1 if unset. It is also told "
        f"{_names([f'{name}={value}' for name, value in processes.OFFLINE.items()])}.\n\n"
        "A fetch, a pull and a push use the network, and are told of it:\n\n"
        + _table(("of", "variables"), more)
        + "\n`CORTEX_SIGNING_KEY` is told to no process. "
        "[More on secrets](../concepts/secrets.md).\n"
    )


def _table(head: tuple[str, str], rows: Mapping[str, str] | Mapping[int, str]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {meaning} |" for name, meaning in rows.items()), ""])


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
