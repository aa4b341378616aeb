"""What is drawn, on a terminal and elsewhere."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios

import pyte
import pytest
from workspace import CLI

from cortexbuild.cli import words
from cortexbuild.cli.screen import is_lively, line_of
from cortexbuild.cli.screen.live import cells_of, frame
from cortexbuild.cli.screen.rate import Rate
from cortexbuild.core.events import Said, StepChanged, StepMoved
from cortexbuild.core.step import StepId

ID = StepId("s")
MARK = b"<here it became narrower>"
HELD = re.compile(rb"  run  m:t/quan(tize +[0-9.]+s +50%|tize *[\r\n\x1b]|[^t])")
"""With how far it is, or as much of its name as there is room for."""


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


def run_on_a_terminal(space, *args, columns=80, narrower=0, **env):
    """All that a command writes to a terminal. A step that is held goes on once its line was
    drawn; then the terminal is made `narrower`, if it is to be."""
    leader, follower = pty.openpty()
    resize(leader, columns)
    env = {**space.environment(), "TERM": "xterm-256color", "CI": "", **env}
    for name in ("COLUMNS", "LINES", "" if env["NO_COLOR"] else "NO_COLOR"):
        env.pop(name, None)  # pytest-xdist sets the first two
    run = subprocess.Popen(
        [*CLI, *args], cwd=space.root, env=env, stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if HELD.search(shown) and not (space.home / "go").exists():
            if narrower:
                resize(leader, narrower)
                os.kill(run.pid, signal.SIGWINCH)
                shown += MARK
            (space.home / "go").write_text("")
    os.close(leader)
    assert run.wait() == 0
    return shown


def resize(terminal, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def test_a_terminal_gets_live_lines_that_do_not_flicker_and_then_plain_ones(space):
    """Neither the screen nor what stands above is ever cleared: only the lines of the frame are,
    and what follows in the same write draws them again."""
    space.manifest(t={"sleep": 60})
    shown = run_on_a_terminal(space, "sync", NO_COLOR="").decode()
    for code in ("\x1b[2J", "\x1b[H", "\x1b[J", "\x1b[0J", "\x1b[?1049h"):
        assert code not in shown
    screen = pyte.Screen(80, 24)
    stream = pyte.Stream(screen)
    kept: list[str] = []
    for piece in shown.splitlines(keepends=True):
        stream.feed(piece)
        now = [line.split()[1] for line in screen.display if line.startswith("  ok ")]
        assert now[: len(kept)] == kept, "a line that stood there went away"
        kept = now
    assert kept == ["m/fetch", "m/detect", "m:t/convert", "m:t/quantize", "m:t/validate"]
    lines = [line.rstrip() for line in screen.display if line.strip()]
    assert len(lines) == 6 and lines[-1].startswith("1 target: 5 built steps")
    assert not screen.cursor.hidden


def test_a_terminal_that_is_made_narrower_gets_narrower_lines(space):
    space.manifest(t={"sleep": 60})
    shown = run_on_a_terminal(space, "sync", columns=100, narrower=20)
    after = shown.partition(MARK)[2].decode()
    frames = re.findall(r"  run [^\r\n\x1b]*", after)
    assert frames and all(len(line) <= 20 for line in frames[1:])


def test_a_dumb_terminal_gets_no_control_codes(space):
    shown = run_on_a_terminal(space, "sync", "--until", "detect", TERM="dumb").decode()
    assert "ok    m/detect" in shown and "\x1b[" not in shown and "run " not in shown


@pytest.mark.parametrize(
    ("terminal", "environment", "lively"),
    [
        (True, {"TERM": "xterm-256color"}, True),
        (True, {"TERM": "xterm", "CI": "false"}, True),
        (True, {"TERM": "xterm", "CI": "1"}, False),
        (True, {"TERM": "xterm", "CI": "true"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {}, False),
        (False, {"TERM": "xterm"}, False),
    ],
)
def test_lines_are_drawn_again_only_where_somebody_looks(terminal, environment, lively):
    assert is_lively(terminal, environment) is lively


def test_a_narrow_ascii_terminal_without_colours(space):
    space.manifest(t={"sleep": 60})
    plain = {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}
    shown = run_on_a_terminal(space, "sync", columns=20, **plain)
    assert shown.isascii() and re.search(rb"\x1b\[[0-9;]*3[0-9]m", shown) is None
    assert b"  run  m:t/quan" in shown
    assert b"  ok    m/fetch  " in shown


@pytest.mark.parametrize("kind", ["plain", "none"])
def test_progress_is_as_it_is_asked_for(space, kind):
    done = space.run("sync", "--until", "detect", "--progress", kind)
    assert ("m/detect" in done.stderr) == (kind != "none")


def test_json_lines_are_for_programs(space):
    lines = space.run("sync", "--until", "detect", "--progress", "json").stderr.splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")]
    assert {"event": "StepChanged", "change": "built"}.items() <= events[-1].items()


def test_columns_go_where_there_is_no_room_the_time_left_last():
    rate = Rate(0.0)
    rate.move(0.0, 1 << 30, 4 << 30)
    rate.move(10.0, 2 << 30, 4 << 30)
    rows = [cells_of("m:t/quantize", rate, 10.0), cells_of("m:t/validate", Rate(9.0), 10.0)]
    assert frame(rows, 100, 24) == [
        "  run  m:t/quantize  10s   50%  2.0 GiB of 4.0 GiB  102.4 MiB/s  20s left",
        "  run  m:t/validate  1.0s",
    ]
    assert frame(rows, 60, 24)[0] == "  run  m:t/quantize  10s   50%  20s left"
    assert frame(rows, 34, 24)[0] == "  run  m:t/quantize  50%"
    assert frame(rows, 20, 24)[0] == "  run  m:t/quantize"
    assert frame(rows, 10, 24)[0] == "  run  m:"
    assert frame([], 80, 24) == []


def test_more_steps_than_lines_are_counted():
    rows = [cells_of(f"m{n}/fetch", Rate(0.0), 1.0) for n in range(30)]
    lines = frame(rows, 80, 10)
    assert len(lines) == 8 and lines[-1] == "  and 23 more"


def test_what_counts_no_bytes_has_a_share_alone():
    rate = Rate(0.0)
    rate.move(0.0, 0, 8192)
    rate.move(4.0, 4096, 8192)
    assert cells_of("m:t/measure", rate, 4.0) == ("m:t/measure", "4.0s", "50%", "", "", "4.0s left")
    assert cells_of("push to team", rate, 4.0)[3:] == (
        "4.0 KiB of 8.0 KiB",
        "1.0 KiB/s",
        "4.0s left",
    )


def test_what_was_there_before_is_no_speed():
    rate = Rate(0.0)
    rate.move(0.0, 900, 1000)  # a download that goes on
    assert rate.speed(0.5) == 0.0 and rate.left(0.5) is None
    rate.move(5.0, 950, 1000)
    assert rate.speed(5.0) == 10.0 and rate.left(5.0) == 5.0


def test_speed_is_of_the_last_while():
    rate = Rate(0.0)
    for second in range(100):
        rate.move(float(second), 1000 * second, 1_000_000)
    for second in range(100, 140):
        rate.move(float(second), 100_000 + 10 * second, 1_000_000)
    assert rate.speed(140.0) < 20.0
    rate.move(141.0, 5, 1_000_000)  # tried again, from the start
    assert rate.speed(143.0) == 0.0
