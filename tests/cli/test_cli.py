"""Exit codes, stdout and stderr: what scripts and people rely on."""

from __future__ import annotations

import json
import shlex
import sys

import pytest
from workspace import RECIPE, tiny_safetensors

from cortexbuild import __version__
from cortexbuild.cli.commands.describing import schema_text
from cortexbuild.cli.examples import FIRST_STEPS
from cortexbuild.cli.parser import parse

GOOD = """\
schema: 1
models:
  m:
    source: path:weights
    targets: {t: {recipe: short}}
"""


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("schema: 1\nmodls: {}\n", "cortex.yaml:2:1: modls: unknown key", "did you mean `models`?"),
        ("schema: 2\nmodels: {}\n", "cortex.yaml:1:1: schema: expected 1, got `2`", ""),
        (
            GOOD.replace("{t: {recipe: short}}", "[]"),
            "cortex.yaml:5:5: models.m.targets: may not be empty",
            "",
        ),
        ("schema: 1\nmodels: []\n", "cortex.yaml:2:1: models: expected a table, got a list", ""),
        ("", "cortex.yaml: expected a table, got nothing", ""),
        ("a: [1\n", "cortex.yaml:2:1: not YAML:", ""),
        ("schema: 1\nschema: 1\n", "cortex.yaml:2:1: key `schema` stands here twice", ""),
        (
            GOOD.replace("recipe: short", "recipe: shrt"),
            "cortex.yaml:5:19: no recipe `shrt`",
            "did you mean `short`?",
        ),
        (
            GOOD.replace("recipe: short", "recpie: short"),
            "cortex.yaml:5:19: models.m.targets.t.recpie: unknown key",
            "did you mean `recipe`?",
        ),
        (
            GOOD.replace("recipe: short", "recipe: yes"),
            "cortex.yaml:5:19: models.m.targets.t.recipe: expected text, got `true`",
            "",
        ),
        (
            GOOD.replace("recipe: short", "recipe: short, set: {kep: 3}"),
            "cortex.yaml:5:40: no step of recipe `short` has a setting `kep`",
            "did you mean `keep`?",
        ),
        (
            GOOD.replace("recipe: short", "recipe: short, set: {keep: many}"),
            "cortex.yaml:5:40: models.m.targets.t.set.keep: expected a whole number, got `many`",
            "",
        ),
        (
            GOOD.replace("{t: {recipe: short}}", "[short, short]"),
            "cortex.yaml:5:5: models.m.targets: target `short` is named twice",
            "",
        ),
        (
            GOOD.replace("{t: {recipe: short}}", "{t: {recipe: short}, T: {recipe: short}}"),
            "targets `m:t` and `m:T` differ only in case",
            "",
        ),
        (
            GOOD.replace("path:weights", "pth:weights"),
            "cortex.yaml:4:5: no source `pth:`",
            "did you mean `path`?",
        ),
        (
            GOOD.replace("path:weights", "path:absent"),
            "absent does not exist",
            "`path:absent` is relative to the folder of cortex.yaml",
        ),
        (
            GOOD.replace("path:weights", "weights"),
            "cortex.yaml:4:5: models.m.source: a source is written",
            "",
        ),
        (
            GOOD.replace("  m:", "  m m:"),
            "cortex.yaml:3:3: models.m m: a name is letters, digits",
            "",
        ),
    ],
)
def test_a_mistake_in_the_manifest_has_a_place_and_builds_nothing(space, text, said, hint):
    space.write("cortex.yaml", text)
    for command in ("sync", "plan"):
        error = space.run(command, code=2).stderr
        assert said in error
        assert f"hint: {hint}" in error
    assert not (space.home / "quantized_models").exists()
    assert space.blobs() == []


@pytest.mark.parametrize("recipe", ["int8", "int4"])
def test_a_mixture_is_refused_by_what_would_leave_its_experts_as_they_are(space, recipe):
    space.write(
        "weights/config.json", json.dumps({"model_type": "mixtral", "num_local_experts": 8})
    )
    space.write("weights/model.safetensors", tiny_safetensors(dtype="F32"))
    space.write("cortex.yaml", GOOD.replace("short", "safetensors"))
    space.run("plan")
    space.write("cortex.yaml", GOOD.replace("short", recipe))
    said = space.run("plan", code=2).stderr
    assert "cortex.yaml:5:15: m:t: it is a mixture of 8 experts" in said
    assert "hint: build it as MLX or GGUF" in said


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("schema: 1\nsummary: x\nsteps: []\n", "recipes/short.yaml:3:1: steps: may not be empty"),
        (
            "schema: 1\nsummary: x\nsteps:\n  - {do: convrt, tool: text}\n",
            "recipes/short.yaml:4:6: steps.0.do: expected `convert`, `quantize` or `validate`",
        ),
        (
            "schema: 1\nsummary: x\nsteps:\n  - {do: convert, tool: txt}\n",
            "recipes/short.yaml:4:19: no tool `txt`",
        ),
        (
            "schema: 1\nsummary: x\nsteps:\n  - {do: convert, tool: text, set: {slep: 1}}\n",
            "recipes/short.yaml:4:37: steps.0.set.slep: unknown key",
        ),
        (
            "schema: 1\nsummary: x\nsteps:\n  - {do: quantize, tool: text}\n",
            "cortex.yaml:6:7: m:t: there is no way from safetensors to text",
        ),
    ],
)
def test_a_mistake_in_a_recipe_has_a_place(space, recipe, said):
    space.write("recipes/short.yaml", recipe)
    assert said in space.run("sync", code=2).stderr


def test_anchors_and_merges_work(space):
    space.write(
        "cortex.yaml",
        "schema: 1\nmodels:\n  m:\n    source: path:weights\n    targets:\n"
        "      a: &base {recipe: short, set: {keep: 2}}\n"
        "      b: {<<: *base, set: {keep: 3}}\n      c: *base\n",
    )
    space.run("sync")
    assert [space.text(f"m--{name}") for name in "abc"] == ["HE", "HEL", "HE"]


def test_a_yaml_bomb_is_refused_before_it_unfolds(space):
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    space.write("cortex.yaml", "\n".join(rows))
    assert "unfolds to more than 200000 parts" in space.run("sync", code=2).stderr
    space.write("cortex.yaml", "a: &a [*a]\n")
    assert "cortex.yaml:1" in space.run("sync", code=2).stderr
    space.write("cortex.yaml", "[" * 5000)
    space.run("sync", code=2)


def test_a_missing_manifest_says_how_to_start(space):
    (space.root / "cortex.yaml").unlink()
    assert "`cortexbuild init`" in space.run("sync", code=2).stderr
    space.run("init", "weights")
    assert "source: path:weights" in (space.root / "cortex.yaml").read_text()
    assert "exists already" in space.run("init", code=2).stderr
    space.run("plan", "-m", "cortex.yaml")


def test_usage_errors_are_2_and_help_is_0(space):
    space.run("synk", code=2)
    space.run("sync", "-j", "0", code=2)
    assert "sync" in space.run("--help").stdout
    assert space.run("--version").stdout == f"cortexbuild {__version__}\n"


def test_json_is_one_document_on_stdout_and_nothing_else(space):
    for args in (
        ["plan"],
        ["sync"],
        ["list"],
        ["why", "m:t"],
        ["verify"],
        ["info", "weights"],
        ["recipes"],
    ):
        said = space.run(*args, "--json")
        assert json.loads(said.stdout)["schema"] == f"cortexbuild/{args[0]}/1"


def test_recipes_are_listed_with_a_line_each_the_project_s_own_first(space):
    said = space.run("recipes").stdout
    assert "short " in said and "a short text" in said
    assert "mlx-4bit " in said and "auto " in said
    space.write("recipes/mlx-4bit.yaml", RECIPE.replace("a short text", "ours"))
    assert "ours" in space.run("recipes").stdout


def test_a_failed_step_shows_the_last_lines_of_its_log(space):
    space.manifest(t={"fail": "raise"})
    said = space.run("sync", code=1).stderr
    assert "  | ValueError: no scissors" in said and "  all of it: cortexbuild log " in said


def test_progress_may_be_a_line_of_json_for_each_event(space):
    said = space.run("sync", "--progress", "json").stderr.splitlines()
    events = [json.loads(line) for line in said if line.startswith("{")]
    assert {"StepChanged", "StepMoved"} == {event["event"] for event in events}


def test_a_command_may_run_as_if_from_another_folder(space):
    space.run("sync")
    here = space.root
    space.root = here.parent
    assert space.run("path", "m:t", "-C", str(here)).stdout
    assert "`-C nowhere`" in space.run("path", "m:t", "-C", "nowhere", code=2).stderr


def test_talk_goes_to_stderr(space):
    said = space.run("sync")
    assert said.stdout == ""
    assert "m:t/quantize" in said.stderr
    assert "nothing to do, 5 fresh steps" in space.run("sync").stderr


def test_path_prints_the_folder_and_warns_when_it_is_not_up_to_date(space):
    assert "is not built" in space.run("path", "m:t", code=1).stderr
    space.run("sync")
    expected = f"{space.home / 'quantized_models' / 'm--t'}\n"
    assert space.run("path", "m:t").stdout == expected
    space.manifest(t={"keep": 2})
    said = space.run("path", "m:t")
    assert said.stdout == expected and "warning: m:t is not up to date" in said.stderr
    rows = json.loads(space.run("list", "--json").stdout)["targets"]
    assert [row["state"] for row in rows] == ["stale"]


def test_a_target_must_be_one(space):
    space.manifest(a={}, b={})
    assert "`m` names 2 targets" in space.run("path", "m", code=2).stderr


def test_generate_checks_its_settings_before_it_loads(space):
    space.run("sync")
    said = space.run("generate", "m:t", "x", "--top-p", "1.5", code=2).stderr
    assert "--top-p must be between" in said
    said = space.run("generate", "m:t", "x", "--max-tokens", "0", code=2).stderr
    assert "--max-tokens must be between 1 and 1,048,576, not 0" in said
    assert "nothing here runs text models" in space.run("generate", "m:t", "x", code=1).stderr


def test_a_prompt_that_is_no_text_is_refused(space):
    said = space.run("generate", "m:t", "\udcff", code=2).stderr
    assert "the prompt is not a text" in said


def test_the_published_schema_is_that_of_the_code(request):
    path = request.config.rootpath / "docs" / "reference" / "cortex.schema.json"
    assert path.read_text() == schema_text()


def test_a_no_op_sync_loads_no_engine_and_no_network_client(space):
    space.run("sync")
    code = (
        "import sys; sys.argv = ['cortexbuild', 'sync']\n"
        "from cortexbuild.cli.main import main\n"
        "assert main() == 0\n"
        "print('\\n'.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    import subprocess

    said = subprocess.run(
        [sys.executable, "-c", code], cwd=space.root, env=space.environment(),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(said.stdout.split())
    heavy = {
        "torch", "mlx", "mlx_lm", "transformers", "networkx", "numpy", "requests", "urllib3",
        "httpx", "http", "huggingface_hub", "rich", "asyncio", "hypothesis",
    }  # fmt: skip
    assert not loaded & heavy


def test_who_names_no_command_is_told_the_first_steps(space):
    done = space.run()
    assert "cortexbuild init" in done.stdout and "cortexbuild --help" in done.stdout
    assert done.stderr == "" and max(map(len, done.stdout.splitlines())) <= 80
    for line, _ in FIRST_STEPS:
        parse(shlex.split(line)[1:])
    group = space.run("cache")
    assert "usage: cortexbuild cache" in group.stdout and "make room" in group.stdout
    assert "no option `--jsn`" in space.run("cache", "--jsn", code=2).stderr


@pytest.mark.parametrize("words", [("sync", "--lock-timeout", "nan"), ("watch", "--settle", "-1")])
def test_a_time_to_wait_is_a_number_of_seconds(space, words):
    assert "a number of seconds from 0" in space.run(*words, code=2).stderr


def test_what_all_commands_take_may_stand_before_the_command(space, tmp_path, monkeypatch):
    space.sync()
    monkeypatch.setattr(space, "root", tmp_path)
    before = ("-C", "project", "--offline", "--manifest=cortex.yaml")
    assert space.run(*before, "list").stdout == space.run("list", "-C", "project").stdout != ""
    assert "no command `x`" in space.run("-C", "project", "x", code=2).stderr
