"""What this project brings for CI: a GitHub Action and a pre-commit hook, as far as they are ours.

GitHub's own part of the action (expressions, caches, setting up Python) is not run here.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys

import yaml
from workspace import ROOT

from cortexbuild.cli.parser import parse

ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS = ACTION["runs"]["steps"]
SYNC = next(step for step in STEPS if step.get("id") == "sync")
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())


def test_the_action_uses_each_input_and_no_other():
    used = set(re.findall(r"inputs\.([a-z-]+)", json.dumps(STEPS)))
    assert used == set(ACTION["inputs"])


def test_no_input_is_pasted_into_a_script():
    for step in STEPS:
        assert "${{" not in step.get("run", ""), "it could end the command and begin another"


def test_the_step_of_the_action_syncs_and_reports(space):
    space.write("bin/cortexbuild", f'#!/bin/sh\nexec {sys.executable} -P -m cortexbuild "$@"\n')
    (space.root / "bin/cortexbuild").chmod(0o755)
    said = space.root / "said"
    env = {
        **space.environment(), "TARGETS": "m:*", "ARGUMENTS": "-k", "GITHUB_OUTPUT": str(said),
        "RUNNER_TEMP": str(space.root),
    }  # fmt: skip
    env["PATH"] = f"{space.root / 'bin'}:{env['PATH']}"
    script = ["bash", "-e", "-o", "pipefail", "-c", SYNC["run"]]
    subprocess.run(script, cwd=space.root, env=env, check=True, capture_output=True)
    report = json.loads((space.root / "cortexbuild.json").read_text())
    assert [target["target"] for target in report["targets"]] == ["m:t"]
    assert said.read_text() == f"report={space.root}/cortexbuild.json\n"


def test_the_hook_is_a_command_that_there_is_and_it_sees_drift(space):
    _, *words = HOOK["entry"].split()
    assert parse(words).check
    assert re.search(HOOK["files"], "models/cortex.yaml")
    assert re.search(HOOK["files"], "cortex.lock") and not re.search(
        HOOK["files"], "cortex.yaml.md"
    )
    space.run("lock")
    space.run(*words)
    space.write("weights/config.json", '{"text": "another"}')
    assert "cortex.lock is not up to date" in space.run(*words, code=3).stderr
