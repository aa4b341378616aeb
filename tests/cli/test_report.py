"""`report` as a file and as JSON, and `compare`."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace

import pytest
from workspace import PLUGIN, RECIPE

from cortexbuild.app.measured import numbers
from cortexbuild.cli import page, sidebyside
from cortexbuild.cli.commands import reporting
from cortexbuild.cli.main import main
from cortexbuild.core.planning import policy
from cortexbuild.core.ports import Runtime

HOSTILE = "</script><img src=x onerror=alert(1)><!--&amp;\u2028"


@pytest.fixture(autouse=True)
def here(space, monkeypatch):
    """The command line in this process, as it is in the project."""
    monkeypatch.setenv("CORTEX_HOME", str(space.home))
    monkeypatch.setenv("PYTHONPATH", f"{PLUGIN}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.syspath_prepend(PLUGIN)
    monkeypatch.chdir(space.root)


@pytest.fixture
def report(capsys):
    def run(*args):
        assert main(["report", "--json", *args]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def sync(*args, code=0):
    assert main(["sync", "-q", "-j", "2", *args]) == code


def by_label(found):
    return {step["label"]: step for step in found["steps"]}


def data_of(text):
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return json.loads(data)


def test_a_project_that_was_never_built_has_a_report(space, report):
    space.manifest(a={}, b={"keep": 6})
    found = report()
    assert found["schema"] == "cortexbuild/report/1"
    assert found["summary"]["targets"] == {"not-built": 2}
    assert {step["state"] for step in found["steps"]} <= {"fresh", "will-run", "may-run"}
    assert found["last_run"] is None
    assert found["bytes"]["total"] == 0
    assert not list(space.root.glob("*.html")), "--json writes no file"
    assert space.blobs() == []


def test_what_was_built_cached_and_failed_is_told_with_its_reason(space, report):
    space.manifest(a={}, b={"keep": 6})
    sync()
    assert set(report()["summary"]["steps"]) == {"built"}
    sync()
    assert set(report()["summary"]["steps"]) == {"cached"}
    space.manifest(a={}, b={"keep": 7}, c={"fail": "raise"}, d={"longest": 3})
    found = report()
    assert [row["state"] for row in found["targets"]] == [
        "fresh",
        "stale",
        "not-built",
        "not-built",
    ]
    found = by_label(found)
    assert found["m:b/quantize"]["status"] == "will-run"
    assert [r["text"] for r in found["m:b/quantize"]["reasons"]] == ["params.keep: 6 -> 7"]
    sync("-k", code=1)
    found = report()
    steps, targets = by_label(found), {row["name"]: row for row in found["targets"]}
    assert steps["m/fetch"]["status"] == "cached"
    assert steps["m:b/quantize"]["status"] == "built"
    broken = steps["m:c/quantize"]
    assert broken["status"] == "failed"
    assert broken["failure"]["message"] == "ValueError: no scissors"
    assert broken["failure"]["log"].endswith(".log")
    assert steps["m:c/validate"]["status"] == "skipped"
    assert {name: row["state"] for name, row in targets.items()} == {
        "a": "fresh", "b": "fresh", "c": "not-built", "d": "bad",
    }  # fmt: skip
    assert targets["d"]["problems"] == ["1 of its scores are NaN or infinite"]
    assert found["last_run"]["steps"]["failed"] == 1
    # Of another step nothing is known, and this one has succeeded since.
    space.manifest(c={})
    sync()
    assert by_label(report())["m:c/quantize"]["failure"] is None


def test_a_sync_of_one_target_forgets_no_failure_of_another(space, report):
    space.manifest(a={}, b={"fail": "raise"})
    sync("-k", code=1)
    sync("m:a")
    steps = by_label(report())
    assert steps["m:b/quantize"]["status"] == "failed"
    assert steps["m:a/quantize"]["status"] == "cached"


def test_a_target_that_fell_back_says_from_what(space, report, monkeypatch):
    monkeypatch.setattr(policy, "TOO_SMALL_FOR_INT4", 0)
    for bits in ("PLAIN_NEEDS", "INT8_NEEDS"):
        monkeypatch.setattr(policy, bits, 1 << 60)
    space.write(
        "cortex.yaml",
        "schema: 1\nmodels:\n  m:\n    source: path:weights\n"
        "    targets: {t: {recipe: auto-int}}\n",
    )
    bad = RECIPE.replace("keep: 4", "keep: 5, fail: raise")
    space.write("recipes/int4.yaml", bad)
    space.write("recipes/int8.yaml", RECIPE.replace("keep: 4", "keep: 8"))
    sync()
    found = report()
    (target,) = found["targets"]
    assert target["recipe"] == "int8" and target["state"] == "fresh" and target["size"] == 8
    assert target["tried"] == {"int4": "ValueError: no scissors"}
    kept = {step["params"]["keep"]: step for step in found["steps"] if step["kind"] == "quantize"}
    assert kept.keys() == {8} and target["step"] == kept[8]["id"]
    (space.root / "cortex.lock").unlink()
    found = report()
    kept = {step["params"]["keep"]: step for step in found["steps"] if step["kind"] == "quantize"}
    assert {keep: step["status"] for keep, step in kept.items()} == {5: "failed", 8: "built"}
    assert kept[5]["failure"]["message"] == "ValueError: no scissors"


def test_steps_have_edges_sizes_times_and_keys(space, report):
    sync()
    found = report()
    ids = {step["id"] for step in found["steps"]}
    step = by_label(found)["m:t/validate"]
    (edge,) = step["inputs"]
    assert edge["step"] == by_label(found)["m:t/quantize"]["id"] and edge["step"] in ids
    assert len(step["key"]) == 64 and step["seconds"] >= 0 and step["here"] and step["size_known"]
    assert step["made_at"] and step["platform"] and step["targets"] == ["m:t"]
    total = found["bytes"].pop("total")
    assert total == sum(found["bytes"].values()) == sum(b.stat().st_size for b in space.blobs())
    assert found["bytes"]["targets"] == 4 and found["bytes"]["others"] == 0
    (source,) = found["sources"]
    assert source["licence"] == "unknown" and source["targets"] == ["m:t"]


def test_measures_are_numbers_whoever_wrote_them(space, report):
    said = {"kl": 0.02, "top1": 0.9, "perplexity": "17.5", "tokenizer": {"first_difference": None}}
    space.manifest(t={"says": json.dumps(said)})
    sync()
    (target,) = report()["targets"]
    assert target["measures"] == {
        "nonfinite_logits": 0,
        "kl": 0.02,
        "top1": 0.9,
        "perplexity": 17.5,
    }
    odd = {"a": True, "b": "x", "c": float("nan"), "d": "inf", "e": None, "f": [1]}
    assert numbers(odd) == {}


def test_what_is_no_number_in_json_does_not_break_the_page(space):
    space.manifest(t={"says": '{"kl": NaN, "kl_p99": Infinity}'})
    sync()
    assert main(["report"]) == 0
    (target,) = data_of((space.root / "report.html").read_text())["targets"]
    assert target["measured"]["kl"] == "nan" and "kl" not in target["measures"]


def test_the_page_is_one_file_that_loads_nothing(space):
    sync()
    path = space.root / "out.html"
    assert space.run("report", "-o", "out.html").stdout == f"{path}\n"
    text = path.read_text()
    assert "http://" not in text and "https://" not in text
    assert not re.search(r"(?i)<(link|iframe|object|embed|img)\b|@import|url\(|\bsrc=", text)
    assert "default-src 'none'" in text and "unsafe" not in text
    assert data_of(text)["targets"][0]["target"] == "m:t"
    assert "report.html" not in [file.name for file in space.root.iterdir()]
    assert "cannot be written" in space.run("report", "-o", "no/x.html", code=2).stderr


def test_only_the_targets_that_are_named_are_in_it(space, report):
    space.manifest(a={}, b={"keep": 6})
    found = report("m:a")
    assert [row["target"] for row in found["targets"]] == ["m:a"]
    assert not any(label.startswith("m:b/") for label in by_label(found))


def test_no_label_can_leave_the_place_of_the_data(space):
    space.write("weights/README.md", f"---\nlicense: '{HOSTILE[:60]}'\n---\n")
    space.manifest(t={"says": json.dumps({"note": HOSTILE})})
    sync()
    assert main(["report"]) == 0
    text = (space.root / "report.html").read_text()
    assert "<img" not in text and "\u2028" not in text
    assert text.count("</script>") == 2
    assert data_of(text)["targets"][0]["measured"]["note"] == HOSTILE


def test_what_is_put_in_is_not_searched_for_places():
    text = page.fill({"project": "<b>{{script}}", "note": "{{style}}"})
    assert "<title>&lt;b&gt;{{script}}: cortexbuild report</title>" in text
    assert data_of(text)["note"] == "{{style}}"


class Echo:
    """Says what it is asked; tells when it is loaded and let go."""

    alive = 0

    def __init__(self, path):
        assert Echo.alive == 0, "two models in memory"
        Echo.alive += 1
        self.text = (path / "model.txt").read_text()

    def __del__(self):
        Echo.alive -= 1

    def generate(self, prompt, sampling):
        yield from (prompt, " ", self.text[: sampling.max_tokens])

    def encode(self, text):
        return [0, *text.encode()]


@pytest.fixture
def runs(space, monkeypatch):
    """A project of two built texts, and something that runs them."""
    opened = reporting.open_project
    runtime = Runtime(("text",), Echo)
    monkeypatch.setattr(
        reporting,
        "open_project",
        lambda args: replace(opened(args), find_runtime=lambda _: runtime),
    )
    space.manifest(a={"says": '{"kl": 0.5}'}, b={"keep": 9})
    sync()
    return space


def test_compare_shows_what_each_target_writes(runs, capsys):
    assert main(["compare", "m:b", "m:a", "--prompt", "ho", "--max-tokens", "6"]) == 0
    out = capsys.readouterr().out
    assert out.index("== m:b  9 B") < out.index("ho HELLO ") < out.index("== m:a  4 B")
    assert "KL 0.5" in out and "ho HELL" in out
    assert main(["compare", "m", "--prompt", "ho", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "cortexbuild/compare/1" and found["prompt"] == "ho"
    assert [(one["target"], one["text"], one["tokens"], one["kl"]) for one in found["targets"]] == [
        ("m:a", "ho HELL", 7, 0.5), ("m:b", "ho HELLO WOR", 12, None),
    ]  # fmt: skip


def test_compare_is_side_by_side_where_there_is_room(runs, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "90")
    assert main(["compare", "m", "--prompt", "[b]ho"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("m:a" in line and "m:b" in line for line in lines)
    assert any("[b]ho HELL " in line and "[b]ho HELLO WOR" in line for line in lines)
    monkeypatch.setenv("COLUMNS", str(2 * sidebyside.NARROWEST - 1))
    assert main(["compare", "m", "--prompt", "ho"]) == 0
    assert "== m:a" in capsys.readouterr().out


def test_compare_looks_at_all_targets_before_it_loads_one(space):
    space.manifest(a={}, b={"keep": 6})
    sync("m:a")
    said = space.run("compare", "m:a", "m:b", "--prompt", "x", code=1).stderr
    assert "m:b is not built" in said and "hint: run `cortexbuild sync m:b`" in said
    assert "takes two" in space.run("compare", "m:a", "--prompt", "x", code=2).stderr
    said = space.run("compare", "m", "--prompt", "x", "--max-tokens", "0", code=2).stderr
    assert "--max-tokens must be between" in said
