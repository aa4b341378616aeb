"""A team's cache in a folder: what a second machine gets of it, and what it does not believe."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from workspace import Workspace

from cortexbuild.core.digest import Digest, File, Tree
from cortexbuild.remotes import transfer
from cortexbuild.remotes.keys import new_key, public_text, secret_text
from cortexbuild.remotes.signing import signed
from cortexbuild.store.traces import trace_from_text, trace_to_text

STEPS = ["fetch", "detect", "convert", "quantize", "validate"]


@pytest.fixture
def team(space: Workspace, tmp_path: Path) -> Team:
    return Team(space, tmp_path)


class Team:
    """A machine that builds and signs, a folder that all share, and other machines."""

    def __init__(self, space: Workspace, tmp: Path) -> None:
        self.ci, self.tmp, self.folder = space, tmp, tmp / "shared"
        self.folder.mkdir()
        self.key = new_key(tmp / "keys", "ci-2026")
        space.env["CORTEX_SIGNING_KEY"] = secret_text(self.key)
        self.share()

    def share(self, trust: str | None = None, more: str = "", *folders: Path) -> None:
        """Let the manifest of every machine name the folder, and whom to believe."""
        trust = public_text(self.key) if trust is None else trust
        urls = [f"file://{folder}" for folder in (folders or (self.folder,))]
        listed = ", ".join(f'{{url: "{url}"{more}}}' for url in urls)
        base = self.ci.root / "cortex.yaml"
        text = base.read_text().partition("cache:")[0]
        base.write_text(f'{text}cache: {{remotes: [{listed}]}}\ntrust: ["{trust}"]\n')

    def machine(self, name: str) -> Workspace:
        """Another home, and a checkout of the project without what is only kept."""
        root = self.tmp / name / "project"
        shutil.copytree(self.ci.root, root, ignore=shutil.ignore_patterns(".cortex"))
        return Workspace(root, self.tmp / name / "home", inside=True)

    def filled(self) -> Team:
        self.ci.run("sync", "--cache", "remote:rw")
        return self

    def objects(self, area: str) -> list[Path]:
        return sorted((self.folder / area).iterdir())

    def rewrite(self, path: Path, content: bytes) -> None:
        path.chmod(0o644)
        path.write_bytes(content)

    def record(self, label: str) -> Path:
        """The record of a step, by the end of its label."""
        return next(
            p for p in self.objects("ac") if trace_from_text(p.read_text()).label.endswith(label)
        )


def changes(space: Workspace, *args: str, code: int = 0) -> dict[str, list[str]]:
    """The steps of a sync by what became of them, and all that was said of remotes."""
    report = space.report(*args, code=code)
    found: dict[str, list[str]] = {"ignored": sorted(report["remote"]["ignored"])}
    for step in report["steps"]:
        found.setdefault(step["change"], []).append(step["step"].rpartition("/")[2])
    return found


def test_another_machine_gets_results_and_nothing_that_they_were_made_of(team):
    team.filled()
    laptop = team.machine("laptop")
    report = laptop.report()
    pulled = {s["step"]: s for s in report["steps"] if s["change"] == "pulled"}
    assert sorted(pulled) == ["m:t/quantize", "m:t/validate"]
    assert report["summary"]["built"] == 0
    assert laptop.text() == team.ci.text() == "HELL"
    moved = sum(step["size"] for step in pulled.values())
    assert moved == sum(p.stat().st_size for p in laptop.home.glob("build/v1/cas/*/*/*"))
    assert moved < (team.ci.root / "weights/model.safetensors").stat().st_size
    assert laptop.run("sync").stderr.startswith("1 target: nothing to do")


def test_only_who_says_so_writes(team):
    team.ci.run("sync")
    assert not (team.folder / "cas").exists()
    team.ci.run("push")
    assert team.objects("cas")


def test_nothing_is_pushed_that_nobody_would_believe(team):
    team.ci.env.clear()
    said = team.ci.run("sync", "--cache", "remote:rw", code=2).stderr
    assert "no key to sign with" in said and "cortexbuild keys new" in said
    assert team.ci.home.exists() is False or not list(team.ci.home.glob("build/v1/ac/v1/*/*"))


def test_who_signs_and_is_not_named_is_told(team):
    team.share(trust=public_text(new_key(team.tmp / "keys", "other")))
    said = team.ci.run("sync", "--cache", "remote:rw").stderr
    assert "does not name the key `ci-2026`" in said
    assert "does not name the key" in team.ci.run("push").stderr
    team.share()
    assert "does not name" not in team.ci.run("push").stderr


def test_a_remote_that_is_away_keeps_no_other_from_being_filled(team, monkeypatch):
    monkeypatch.setattr(transfer, "FIRST_WAIT", 0.001)
    base = team.ci.root / "cortex.yaml"
    away = '{url: "http://127.0.0.1:9", name: away}, '
    base.write_text(base.read_text().replace("remotes: [", f"remotes: [{away}"))
    team.ci.run("sync", "--cache", "local:rw")
    told = team.ci.run("push", "--json", code=5)
    remotes = json.loads(told.stdout)["remotes"]
    assert "127.0.0.1:9" in remotes["away"]["error"] and remotes["shared"]["records"]
    assert "127.0.0.1:9" in told.stderr


def test_what_is_bad_is_not_pushed(team):
    team.ci.manifest(t={}, bad={"fail": ""})
    team.share()
    text = (team.ci.root / "cortex.yaml").read_text()
    bad = text.replace(
        'bad: {recipe: short, set: {"fail": ""}}', "bad: {recipe: short, validate: {max_kl: 0.1}}"
    )
    (team.ci.root / "cortex.yaml").write_text(bad)
    team.ci.run("sync", code=1)
    said = team.ci.run("push", code=1).stderr
    assert "m:bad: " in said and "kl" in said.lower()


def test_who_is_not_trusted_is_counted_and_named(team):
    team.filled().share(trust=public_text(new_key(team.tmp / "keys", "other")))
    laptop = team.machine("laptop")
    found = changes(laptop)
    assert found["built"] == STEPS
    assert found["ignored"] == ["shared: signed by ci-2026, which is not trusted"]
    laptop = team.machine("second")
    said = laptop.run("sync").stderr
    assert "remote results ignored: shared: signed by ci-2026" in said and "keys trust" in said


def test_a_machine_may_trust_more_than_the_manifest(team):
    team.filled().share(trust=public_text(new_key(team.tmp / "keys", "other")))
    laptop = team.machine("laptop")
    laptop.run("keys", "trust", public_text(team.key))
    assert changes(laptop)["pulled"] == ["quantize", "validate"]


def test_a_folder_may_be_believed_unsigned(team):
    team.ci.env.clear()
    team.share(more=", unsigned: true")
    team.filled()
    assert changes(team.machine("laptop"))["pulled"] == ["quantize", "validate"]
    team.share()
    assert changes(team.machine("other"))["ignored"] == ["shared: not signed"]


def forged(team: Team, change) -> None:
    """Rewrite the record of the quantized model, signed by the trusted key itself."""
    path = team.record("quantize")
    trace = change(trace_from_text(path.read_text()))
    team.rewrite(path, trace_to_text(signed(trace, team.key)).encode())


def test_a_content_that_never_ends_is_refused_before_it_fills_the_disk(team):
    team.filled()
    size = 300 << 20
    forged(team, lambda t: replace(t, tree=Tree((File("model.txt", Digest("0" * 64), 4),))))
    bomb = team.folder / "cas" / ("0" * 64)
    with bomb.open("wb") as file:
        file.truncate(size)
    laptop = team.machine("laptop")
    found = changes(laptop)
    assert found["built"] == ["fetch", "convert", "quantize"] and laptop.text() == "HELL"
    assert [why for why in found["ignored"] if f"has {size} bytes and should have 4" in why]


def test_each_kind_of_object_with_a_flipped_byte_is_refused_and_repaired(team):
    """One byte of each: refused by name, built instead, and put right by a push from there."""
    team.filled()
    named = {path.name: path for area in ("cas", "ac", "roots") for path in team.objects(area)}
    right = {path: path.read_bytes() for path in named.values()}
    assert len(right) == 2 + 5 + 1
    for path, content in right.items():
        place = len(content) // 2
        team.rewrite(path, content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    laptop = team.machine("laptop")
    said = laptop.run("sync").stderr
    assert laptop.text() == "HELL"
    assert said.count("remote result ignored: shared: ") + said.count("remote results ignored") > 0
    for path in team.objects("ac"):  # so that the contents are asked for
        team.rewrite(path, right[path])
    laptop = team.machine("second")
    said = laptop.run("sync").stderr
    assert laptop.text() == "HELL"
    for path in team.objects("cas"):
        assert f"cas/{path.name}" in said
    assert said.count("refused: in shared") == 2
    laptop.env = dict(team.ci.env)
    laptop.run("push")
    team.ci.run("push")
    assert {path: path.read_bytes() for path in right} == right


def test_a_content_of_another_size_is_repaired_by_any_push(team):
    team.filled()
    path = team.objects("cas")[0]
    content = path.read_bytes()
    team.rewrite(path, content + b"more")
    team.ci.run("push")
    assert path.read_bytes() == content


def test_a_content_that_is_gone_is_built(team):
    team.filled()
    for path in team.objects("cas"):
        path.unlink()
    assert changes(team.machine("laptop"))["built"] == ["fetch", "convert", "quantize", "validate"]


def test_the_next_remote_has_what_is_wrong_in_the_first(team):
    second = team.tmp / "second"
    second.mkdir()
    team.filled()
    shutil.copytree(team.folder, second, dirs_exist_ok=True)
    team.share(None, "", team.folder, second)
    for path in team.objects("cas"):
        team.rewrite(path, b"X" * path.stat().st_size)
    laptop = team.machine("laptop")
    report = laptop.report()
    assert {tuple(s["from"]) for s in report["steps"] if s["change"] == "pulled"} == {("second",)}
    assert laptop.text() == "HELL"


def test_a_remote_that_is_not_there_is_one_warning(team):
    team.filled()
    team.folder.rename(team.tmp / "gone")
    laptop = team.machine("laptop")
    said = laptop.run("sync").stderr
    assert said.count("is not asked any more") == 1 and "is it mounted?" in said
    assert laptop.text() == "HELL"
    strict = team.machine("strict")
    assert "is it mounted?" in strict.run("sync", "--require-remote", code=5).stderr


def test_what_others_recorded_first_stays(team):
    team.ci.manifest(t={"fail": "differ"})
    team.share()
    team.filled()
    first = team.record("quantize").read_bytes()
    second = team.machine("second")
    second.env = dict(team.ci.env)
    second.run("sync", "--cache", "remote:off")
    assert second.text() != team.ci.text()
    assert "other bytes than here are there, and stay" in second.run("push").stderr
    assert team.record("quantize").read_bytes() == first


def test_another_salt_disowns_all(team):
    team.filled()
    path = team.ci.root / "cortex.yaml"
    path.write_text(path.read_text().replace("cache: {", "cache: {salt: again, "))
    laptop = team.machine("laptop")
    assert changes(laptop)["built"] == STEPS
    team.ci.run("sync")
    assert "salt" in laptop.run("why", "m:t").stdout or laptop.sync() == []


def test_pull_brings_and_builds_nothing(team):
    team.ci.manifest(t={}, other={"keep": 5})
    team.share()
    team.ci.run("sync", "m:t", "--cache", "remote:rw")
    laptop = team.machine("laptop")
    said = laptop.run("pull", code=5).stderr
    assert "m:other" in said and "m:other/quantize" in said and "m:t " not in said
    assert not laptop.view().exists()
    laptop.run("pull", "--allow-missing")
    assert laptop.text() == "HELL" and not laptop.view("m--other").exists()
    laptop.run("pull", "m:t")


def test_plan_tells_of_remotes_when_asked_and_writes_nothing(team):
    team.filled()
    laptop = team.machine("laptop")
    assert json.loads(laptop.run("plan", "--json").stdout)["summary"]["remote"] == 0
    assert json.loads(laptop.run("plan", "--json", "--remote").stdout)["summary"]["remote"] == 2
    assert not list(laptop.home.glob("build/v1/ac/v1/*/*"))


def test_a_record_alone_is_enough_where_no_bytes_are_wanted(team):
    """With another target, the step between is made here, from the source that is here."""
    team.filled()
    team.ci.manifest(t={}, other={"keep": 5})
    team.share()
    laptop = team.machine("laptop")
    found = changes(laptop)
    assert found["pulled"] == ["quantize", "validate"]
    assert found["built"] == ["fetch", "convert", "quantize", "validate"]


def test_the_closure_has_all_to_go_on_from(team):
    team.ci.run("sync")
    team.ci.run("push", "--closure")
    team.ci.manifest(t={}, other={"keep": 5})
    team.share()
    laptop = team.machine("laptop")
    found = changes(laptop)
    assert sorted(found["pulled"]) == ["convert", "quantize", "validate"]
    assert found["built"] == ["quantize", "validate"]


@pytest.mark.parametrize("text", ["remote", "remote:x", "local:r", "nobody:r", "remote:w"])
def test_access_that_makes_no_sense(team, text):
    said = team.ci.run("sync", "--cache", text, code=2).stderr
    assert f"--cache {text}" in said


def test_the_variable_says_it_too_and_names_one_remote(team):
    team.ci.env["CORTEX_CACHE"] = "local:rw,shared:rw"
    team.ci.run("sync")
    assert team.objects("ac")
    laptop = team.machine("laptop")
    laptop.env["CORTEX_CACHE"] = "remote:off"
    assert changes(laptop)["built"] == STEPS


def test_a_project_with_a_module_of_a_library_s_name_builds(space):
    for name in ("json", "numpy", "cortexbuild_text", "hashlib"):
        space.write(f"{name}.py", "raise SystemExit('taken for the library')")
    assert space.sync() == STEPS


def test_processes_that_sync_one_home_make_each_step_once(team):
    team.ci.manifest(**{f"t{n}": {"keep": n + 1, "sleep": 0.05} for n in range(3)})
    team.share()
    running = [team.ci.start("sync", "--json", "--cache", "remote:rw") for _ in range(8)]
    ended = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0] * 8, ended
    made = [
        step["step"] for out, _ in ended for step in json.loads(out)["steps"]
        if step["change"] == "built"
    ]  # fmt: skip
    assert sorted(made) == sorted({*made}) and len(made) == 1 + 1 + 1 + 3 + 3
    assert [team.ci.text(f"m--t{n}") for n in range(3)] == ["H", "HE", "HEL"]
    assert "built" not in changes(team.machine("laptop"))


def test_homes_that_fill_one_folder_at_once(team):
    machines = [team.machine(f"m{n}") for n in range(6)]
    for machine in machines:
        machine.env = dict(team.ci.env)
    running = [machine.start("sync", "--cache", "remote:rw") for machine in machines]
    ended = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0] * 6, ended
    assert all(hashlib.sha256(p.read_bytes()).hexdigest() == p.name for p in team.objects("cas"))
    assert changes(team.machine("laptop"))["pulled"] == ["quantize", "validate"]


def test_a_bundle_takes_results_where_no_network_goes(team):
    team.share(more="", trust=public_text(team.key))
    team.ci.run("sync")
    team.ci.run("bundle", "export", "-o", str(team.tmp / "all.tar"))
    team.ci.run("bundle", "export", "-o", str(team.tmp / "few.tar.zst"), "--final")
    offline = team.machine("offline")
    offline.run("bundle", "import", str(team.tmp / "few.tar.zst"))
    assert changes(offline, "--offline", "--cache", "remote:off")["fresh"]
    assert offline.text() == "HELL" and len(offline.blobs()) == 2
    full = team.machine("full")
    full.run("bundle", "import", str(team.tmp / "all.tar"))
    shutil.rmtree(full.root / "weights")
    full.run("sync", "--frozen", "--offline", "--cache", "remote:off")
    assert full.text() == "HELL"
    stranger = team.machine("stranger")
    text = (stranger.root / "cortex.yaml").read_text()
    (stranger.root / "cortex.yaml").write_text(text.partition("trust:")[0])
    assert (
        "not trusted" in stranger.run("bundle", "import", str(team.tmp / "all.tar"), code=6).stderr
    )
