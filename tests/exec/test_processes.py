"""What the processes of ours are told, and that nothing else starts any."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

import cortexbuild
from cortexbuild.core.step import Kind
from cortexbuild.exec.pool import Pool
from cortexbuild.processes import ask, environment, run

PACKAGE = Path(cortexbuild.__file__).parent
CANARY = "canary-8f1c55"
SECRETS = (
    "HF_TOKEN", "CORTEX_REMOTE_TEAM_TOKEN", "CORTEX_REMOTE_TEAM_PASSWORD", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN", "AZURE_STORAGE_ACCOUNT_KEY", "GOOGLE_SERVICE_ACCOUNT_KEY",
)  # fmt: skip
LOGINS = ("HTTPS_PROXY", "http_proxy", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_PROXY")
NOBODYS = (
    "CORTEX_SIGNING_KEY",
    "GITHUB_TOKEN",
    "OPENAI_API_KEY",
    "SSH_AUTH_SOCK",
    "MLX_ENABLE_TF32",
)


@pytest.fixture(autouse=True)
def secrets(monkeypatch):
    for name in (*SECRETS, *NOBODYS):
        monkeypatch.setenv(name, CANARY)
    for name in LOGINS:
        monkeypatch.setenv(name, f"https://me:{CANARY}@host")


def told(environment: dict[str, str]) -> set[str]:
    return {name for name, value in environment.items() if CANARY in value}


def test_only_a_process_for_the_network_is_told_who_one_is(monkeypatch):
    assert told(environment("machine")) == set()
    assert told(environment("index")) == {name for name in LOGINS if name.startswith("PIP_")}
    assert told(environment("network")) == {*SECRETS, *LOGINS}


def test_what_stays_here_is_offline_and_what_it_computes_with_is_passed_on(monkeypatch):
    chosen = {
        "CC": "clang", "LC_NUMERIC": "C", "CUDA_VISIBLE_DEVICES": "1", "DYLD_LIBRARY_PATH": "/x",
        "HIP_VISIBLE_DEVICES": "0", "MKL_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "2",
    }  # fmt: skip
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    inside = environment("machine")
    assert inside.items() >= chosen.items()
    assert inside["HF_HUB_OFFLINE"] == inside["TRANSFORMERS_OFFLINE"] == "1"
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    assert "HF_HUB_OFFLINE" not in environment("network")
    assert environment("network")["OPENBLAS_NUM_THREADS"] == "1"
    assert inside["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"


@pytest.mark.parametrize("engine", ["mlx", Kind.FETCH])
def test_a_child_has_what_is_on_its_list_and_its_arguments_say_nothing(engine):
    pool = Pool(1)
    child = pool.lend(engine)
    pid = child.process.pid
    try:
        if Path("/proc").is_dir():  # elsewhere nobody can look
            inside = Path(f"/proc/{pid}/environ").read_bytes().decode()
            names = {line.partition("=")[0] for line in inside.split("\0") if CANARY in line}
            assert names == ({*SECRETS, *LOGINS} if engine == Kind.FETCH else set())
            assert CANARY not in Path(f"/proc/{pid}/cmdline").read_text()
    finally:
        pool.end(child)
        pool.close()


def test_programs_are_told_no_more_than_the_step_that_runs_them(tmp_path):
    def shell(file: str) -> list[str]:
        return ["/bin/sh", "-c", f"env > {file}; echo done; exit 3"]

    assert run(shell(f"{tmp_path}/a")) == 3
    assert ask(shell(f"{tmp_path}/b")) == (3, "done\n")
    for name in "ab":
        assert CANARY not in (tmp_path / name).read_text()
    assert (
        ask(["/bin/sh", "-c", "echo $PIP_INDEX_URL"], "index")[1]
        == os.environ["PIP_INDEX_URL"] + "\n"
    )


STARTERS = {"subprocess", "pty", "_posixsubprocess"}
CALLS = {
    "system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp", "ProcessPoolExecutor",
    "create_subprocess_exec", "create_subprocess_shell", "Process",
    *(f"exec{end}" for end in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
    *(f"spawn{end}" for end in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
}  # fmt: skip


def starts(code: str) -> set[str]:
    """What a module has by which a process could be started."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            modules = {alias.name for alias in node.names}
            found |= {m for m in modules if m.split(".")[0] in STARTERS or m == "multiprocessing"}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            foreign = not node.level  # `from ..processes import Process` is ours
            if module.split(".")[0] in STARTERS or module == "multiprocessing":
                found.add(module)
            found |= {alias.name for alias in node.names if foreign and alias.name in CALLS}
        elif isinstance(node, ast.Attribute) and node.attr in CALLS:
            found.add(node.attr) if node.attr != "system" or _of_os(node) else None
    return found


def _of_os(node: ast.Attribute) -> bool:
    """`os.system`, and not `platform.system`."""
    return isinstance(node.value, ast.Name) and node.value.id == "os"


def test_nothing_but_one_module_starts_a_process():
    found = {
        path.relative_to(PACKAGE).as_posix(): names
        for path in PACKAGE.rglob("*.py")
        if (names := starts(path.read_text()))
    }
    assert found == {"processes.py": {"subprocess"}}
    for code in ("import os\nos.execv('x', [])", "import subprocess as s", "from os import fork"):
        assert starts(code)
