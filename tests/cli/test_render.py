"""What is drawn, on a terminal and elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess

from workspace import CLI

from cortexbuild.cli import words
from cortexbuild.cli.render import line_of
from cortexbuild.core.events import Said, StepChanged, StepMoved
from cortexbuild.core.step import StepId

ID = StepId("s")


def test_sizes_and_times_are_short():
    assert [words.size(n) for n in (0, 1023, 1536, 5 << 30, 3 << 40)] == [
        "0 B", "1023 B", "1.5 KiB", "5.0 GiB", "3.0 TiB",
    ]  # fmt: skip
    assert [words.time(s) for s in (0.04, 9.96, 59.4, 61, 3600)] == [
        "0.0s", "10.0s", "59s", "1m01s", "60m00s",
    ]  # fmt: skip
    assert words.count(1, "step") == "1 step" and words.count(0, "step") == "0 steps"


def test_one_line_for_each_step_that_ended():
    built = StepChanged(ID, "m:t/quantize", "built", seconds=1.5, size=2048)
    assert line_of(built) == "  ok    m:t/quantize  2.0 KiB  1.5s"
    assert line_of(StepChanged(ID, "m:t/quantize", "started")) == ""
    assert line_of(StepChanged(ID, "m:t/quantize", "fresh")) == ""
    assert "FAIL" in line_of(StepChanged(ID, "m:t/quantize", "failed", "it broke"))
    assert line_of(Said("waits")) == "  note  waits"
    assert line_of(StepMoved("m:t/quantize", 1, 2)) == ""


def run_on_a_terminal(space, *args, term="xterm-256color"):
    leader, follower = pty.openpty()
    env = {**space.environment(), "TERM": term}
    del env["NO_COLOR"]
    run = subprocess.Popen(
        [*CLI, *args], cwd=space.root, env=env, stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    assert run.wait() == 0
    return shown.decode()


def test_a_terminal_gets_a_live_table_and_then_plain_lines(space):
    space.manifest(t={"sleep": 1.2})
    shown = run_on_a_terminal(space, "sync")
    assert "run " in shown and "1 B of 2 B" in shown
    assert "ok    m:t/quantize" in shown
    assert "\x1b[" in shown


def test_a_dumb_terminal_gets_no_control_codes(space):
    shown = run_on_a_terminal(space, "sync", term="dumb")
    assert "ok    m:t/quantize" in shown
    assert "\x1b[" not in shown
