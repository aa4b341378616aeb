"""What is kept of an error that nobody foresaw, and what is said of it."""

from __future__ import annotations

from pathlib import Path

from cortexbuild.cli.bug import KEPT, report


def broken() -> KeyError:
    try:
        raise KeyError("w")
    except KeyError as error:
        return error


def test_it_is_kept_in_a_file_that_the_message_names(tmp_path, monkeypatch):
    monkeypatch.setenv("CORTEX_HOME", str(tmp_path))
    said = report(broken(), ["sync", "--token", "hf_secret"])
    assert said.startswith("error: cortexbuild came upon something unforeseen: KeyError: 'w'\n")
    kept = Path(said.rpartition(" ")[2])
    assert kept.is_relative_to(tmp_path) and "please report this with" in said
    assert "command: sync\n" in kept.read_text() and "in broken" in kept.read_text()
    assert "hf_secret" not in kept.read_text() and "Traceback" not in said


def test_where_nothing_can_be_kept_all_of_it_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CORTEX_HOME", str(tmp_path / "file"))
    said = report(broken(), ["sync"])
    assert "in broken" in said and "please report it with the lines above" in said


def test_old_ones_go(tmp_path, monkeypatch):
    monkeypatch.setenv("CORTEX_HOME", str(tmp_path))
    folder = tmp_path / "build" / "bugs"
    folder.mkdir(parents=True)
    for day in range(10, 40):
        (folder / f"202601{day}-000000-1.txt").write_text("")
    report(broken(), ["sync"])
    left = sorted(path.name for path in folder.iterdir())
    assert len(left) == KEPT and left[0] == "20260121-000000-1.txt"
