"""Logs of steps: shown while they are written, when a step failed, and later by `log`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cortexbuild.cli.logs import MOST, Follower, last_lines, lines_of, log_name, readable
from cortexbuild.core.events import StepLogged


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("as it is\tand so\n", "as it is\tand so"),
        ("10%\r50%\r100%\r\n", "100%"),
        ("\x1b[31mred\x1b[0m \x1b]0;a title\x07end", "red end"),
        ("\x1b]8;;http://x\x1b\\\\link", "\\link"),
        ("bell\x07 and \x9b2J", "bell\\x07 and \\x9b2J"),
    ],
)
def test_a_line_cannot_do_anything_to_a_terminal(line, shown):
    assert readable(line) == shown


def test_the_last_lines_of_a_log_that_is_there_or_is_not(tmp_path):
    log = tmp_path / "a.log"
    assert last_lines(log) == []
    log.write_text("".join(f"{n}\n" for n in range(30)))
    assert last_lines(log) == [str(n) for n in range(20, 30)]
    log.write_bytes(b"x" * (2 * MOST) + b"\nend\n")
    assert lines_of(log)[-1] == "end" and sum(map(len, lines_of(log))) <= MOST
    log.write_text("\n")
    assert last_lines(log) == []


def test_whole_lines_are_told_of_once_as_they_come(tmp_path):
    told: list[StepLogged] = []
    follower = Follower(tmp_path, {log_name("m:t/quantize"): "m:t/quantize"}, told.append)
    follower.look()
    log = tmp_path / log_name("m:t/quantize")
    log.write_text("one\ntw")
    follower.look()
    follower.look()
    assert told == [StepLogged("m:t/quantize", "one")]
    with log.open("a") as file:
        file.write("o\n\x1b[1mthree\n")
    follower.look()
    assert [one.text for one in told] == ["one", "two", "three"]


def test_verbose_shows_what_steps_write_and_log_shows_it_again(space):
    said = space.run("sync", "-v", "--until", "convert").stderr.splitlines()
    at = said.index("  |     m:t/convert  joined")
    assert said[at - 1].startswith("  run   m:t/convert") or "run" in said[at - 1]
    assert said[at + 1].startswith("  ok    m:t/convert")

    shown = space.run("log", "m:t").stdout.splitlines()
    assert shown[0].startswith("== m:t/convert  ") and shown[1] == "joined"
    assert space.run("log", "*/convert").stdout.splitlines() == shown
    path = space.run("log", "m:t/convert", "--path").stdout.strip()
    assert Path(path).read_text() == "joined\n"
    (found,) = json.loads(space.run("log", "m:t", "--json").stdout)["logs"]
    assert found == {"step": "m:t/convert", "path": path, "lines": ["joined"]}


def test_without_a_name_it_is_the_last_run(space):
    space.run("sync", "--until", "convert")
    space.run("sync", "--until", "quantize")
    shown = [line for line in space.run("log").stdout.splitlines() if line.startswith("== ")]
    assert [line.split()[1] for line in shown] == ["m:t/quantize"]


def test_a_log_that_is_not_there(space):
    error = space.run("log", code=1).stderr
    assert "no logs of this project are kept" in error and "hint: " in error
    space.run("sync", "--until", "convert")
    error = space.run("log", "m:t/convret", code=2).stderr
    assert "did you mean `m:t/convert`?" in error


def test_a_failure_shows_the_end_of_its_log_and_how_to_see_the_rest(space):
    space.manifest(t={"fail": "raise"})
    said = space.run("sync", code=1).stderr
    shown = [line for line in said.splitlines() if line.startswith("  | ")]
    assert len(shown) == 10 and shown[-1] == "  | ValueError: no scissors"
    assert "  all of it: cortexbuild log m:t/quantize  (" in said
    rest = space.run("log", "m:t/quantize").stdout
    assert "Traceback (most recent call last)" in rest and "ValueError: no scissors" in rest
