"""The folders of logs, of which the last are kept, while other commands do the same."""

from __future__ import annotations

import shutil
from contextlib import closing

from cortexbuild.cli.runs import KEPT_RUNS, end_run, new_run
from cortexbuild.store.local import LocalStore


def test_old_runs_go_whatever_is_in_them(tmp_path):
    with closing(LocalStore(tmp_path)) as store:
        for number in range(KEPT_RUNS + 5):
            folder = tmp_path / "runs" / f"20200101-0000{number:02}-abcdef" / "inner"
            folder.mkdir(parents=True)
            (folder / "m-fetch.log").write_text("said")
        (tmp_path / "runs" / "0-stray").write_text("")
        new_run(store)
        assert len(list((tmp_path / "runs").iterdir())) == KEPT_RUNS


def test_a_run_whose_folder_was_taken_away_meanwhile_ends_well(tmp_path):
    with closing(LocalStore(tmp_path)) as store:
        run = new_run(store)
        shutil.rmtree(run)
        end_run(store, run)
        kept, empty = new_run(store), new_run(store)
        (kept / "m-fetch.log").write_text("said")
        for one in (kept, empty):
            end_run(store, one)
        assert list((tmp_path / "runs").iterdir()) == [kept]
