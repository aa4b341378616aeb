"""Every process that is started here, and what of the environment it may see.

Nothing but this module starts one (a test sees to that), and nothing is handed on that is not
named below. Credentials go to where the network is used: to a fetch, a pull and a push. A step
that computes has none, and cannot print, keep or send what it was never given.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Literal, TypeAlias

Reach: TypeAlias = Literal["machine", "index", "network"]
"""What a process is for: it stays on this machine, asks how pip is set up, or uses the network."""

Process: TypeAlias = subprocess.Popen[bytes]
Late = subprocess.TimeoutExpired
PR_SET_PDEATHSIG = 1  # linux/prctl.h

PERSON = ("HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "TZ", "CORTEX_HOME")
PROGRAMS = ("PATH", "VIRTUAL_ENV", "PYTHONPATH", "CC", "CXX", "SDKROOT")
LIBRARIES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")
THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
DEVICES = (
    "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "CUDA_PATH", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ROCM_PATH", "HSA_OVERRIDE_GFX_VERSION",
    "MLX_MAX_OPS_PER_BUFFER", "MLX_MAX_MB_PER_BUFFER",
)  # fmt: skip
"""Where something is computed, and never what: MLX_ENABLE_TF32 and its like are in no key."""

PIP = (
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT", "PIP_NO_INDEX",
    "PIP_PROXY", "PIP_TRUSTED_HOST", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS",
)  # fmt: skip
NETWORK = (
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy",
    "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC",
    "HF_ENDPOINT", "HF_HOME", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HF_HUB_DISABLE_XET",
    "HF_HUB_OFFLINE", "XDG_CACHE_HOME", "OLLAMA_MODELS", "CORTEX_OFFLINE", "CORTEX_LLAMA_CPP",
)  # fmt: skip
NETWORK_PREFIXES = ("AWS_", "AZURE_", "GOOGLE_", "CORTEX_REMOTE_", "HF_XET_")
"""What clients of shared caches, and of the Hub's storage, are told by their usual variables."""

EVERYBODY = (*PERSON, *PROGRAMS, *LIBRARIES, *THREADS, *DEVICES)
NAMES: Mapping[Reach, tuple[str, ...]] = {
    "machine": EVERYBODY,
    "index": (*EVERYBODY, *PIP),
    "network": (*EVERYBODY, *PIP, *NETWORK),
}
PREFIXES: Mapping[Reach, tuple[str, ...]] = {
    "machine": ("LC_",),
    "index": ("LC_",),
    "network": ("LC_", *NETWORK_PREFIXES),
}
QUIET = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Ask Linux for pages of 2 MB instead of 4 kB: steps give buffers of many megabytes back and take
others. Of 1 billion weights, 5 to 10 % less processor time for 3 to 5 % more memory."""
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def environment(reach: Reach) -> dict[str, str]:
    """All that a process of that reach is told."""
    names, prefixes = NAMES[reach], PREFIXES[reach]
    chosen = {n: v for n, v in os.environ.items() if n in names or n.startswith(prefixes)}
    # numpy's threads wait for each other by spinning: beside another step, a factorization of 768
    # columns took 0.3 s with two and 0.03 s with one. And sums depend on how many there are.
    chosen.setdefault("OPENBLAS_NUM_THREADS", "1")
    return chosen | QUIET | LARGE_PAGES | (OFFLINE if reach != "network" else {})


def start_python(
    module: str, arguments: Sequence[str], reach: Reach, fds: Sequence[int]
) -> Process:
    """A Python of ours with a module of ours, which inherits these file descriptors."""
    # -P: Python would look for modules in the project's folder first, and find its json.py.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        env=environment(reach),
        pass_fds=fds,
        start_new_session=True,  # Ctrl-C in the terminal is the parent's to handle
    )


def run(argv: Sequence[str]) -> int:
    """Run a program that stays on this machine, to its end; it prints where we do."""
    return subprocess.run(
        argv, stdin=subprocess.DEVNULL, env=environment("machine"), check=False
    ).returncode


def ask(argv: Sequence[str], reach: Reach = "machine") -> tuple[int, str]:
    """With what a program ends, and what it says on stdout."""
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, env=environment(reach), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def tell(argv: Sequence[str], said: str, patience: float) -> subprocess.CompletedProcess[str]:
    """What a program makes of a text on its stdin. Raises Late when it takes longer than that many
    seconds, and OSError when there is no such program."""
    return subprocess.run(
        argv, input=said, env=environment("machine"), capture_output=True, text=True,
        timeout=patience, check=False,
    )  # fmt: skip


def serve(argv: Sequence[str], told: Mapping[str, str], said: Path | None) -> Process:
    """A program that answers clients until it is ended, or we are. It is `told` some more, and what
    it says goes to a file, or where ours goes."""
    with said.open("wb") if said else nullcontext() as log:
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, env={**environment("machine"), **told},
            stdout=log, stderr=log,
            start_new_session=True,  # an interrupt of the terminal is for us
            preexec_fn=_die_with_parent,
        )  # fmt: skip


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
