"""A lock names everything, so planning needs neither the weights nor the tools."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cortexbuild.cli.recipes import Recipes
from cortexbuild.core.digest import Digest, File, Tree
from cortexbuild.core.document import Text
from cortexbuild.core.lock import Lock, Pinned
from cortexbuild.core.manifest import Manifest
from cortexbuild.core.plan import Scope
from cortexbuild.core.planning.planner import make_plan
from cortexbuild.core.planning.resolve import tools_of
from cortexbuild.core.ports import Toolbox
from cortexbuild.core.step import ToolId
from cortexbuild.errors import LockError, ManifestError
from cortexbuild.tools import find_edges, find_tool

RECIPES = Recipes(Path("/nonexistent"))
TOOLBOX = Toolbox(find_tool, find_edges)
GIB = 1 << 30


def tree(size: int = 1000) -> Tree:
    files = [
        File("config.json", Digest("a" * 64), 10),
        File("model.safetensors", Digest("b" * 64), size),
    ]
    return Tree.of(files)


def planned(targets, *, facts=None, size=1000, memory=0, **more):
    data = {
        "schema": 1,
        "models": {"m": {"source": "hf:org/m", "targets": targets, **more.pop("model", {})}},
    }
    manifest = Manifest.parse(Text("cortex.yaml", {**data, **more}))
    facts = {"format": "safetensors", "parameters": None, "method": None, **(facts or {})}
    text = Tree((File("evaluation.txt", Digest("c" * 64), 10),))
    adapter = Tree((File("adapter_model.safetensors", Digest("d" * 64), 10),))
    sources = {
        "hf:org/m": Pinned("hf:org/m", tree(size), facts),
        "builtin:evaluation": Pinned("builtin:evaluation", text, {"format": "unknown"}),
        "toolchain:llama.cpp": Pinned("toolchain:llama.cpp", text, {"format": "unknown"}),
        "builtin:calibration": Pinned("builtin:calibration", text, {"format": "unknown"}),
        "path:t": Pinned("path:t", text, {"format": "unknown"}),
        "path:a": Pinned("path:a", adapter, {"format": "adapter"}),
        "path:b": Pinned("path:b", adapter, {"format": "adapter"}),
    }
    used = tools_of(manifest, RECIPES, sources, TOOLBOX, memory=memory)
    tools = {name: ToolId(tool.name, tool.revision, {"engine": "1"}) for name, tool in used.items()}
    return make_plan(manifest, RECIPES, Lock(sources, tools), TOOLBOX, memory=memory)


def labels(plan):
    return [step.label for step in plan.steps.values()]


def test_a_plan_needs_no_tool_and_no_weights():
    assert labels(planned(["mlx-4bit"])) == [
        "m/fetch", "m/detect", "evaluation/fetch", "m/reference", "m:mlx-4bit/quantize",
        "m:mlx-4bit/validate",
    ]  # fmt: skip


def by_label(plan):
    return {step.label: step for step in plan.steps.values()}


def inputs(plan, label):
    """The labels of a step's inputs, by role."""
    return {
        role: plan.steps[item.step].label for role, item in by_label(plan)[label].inputs.items()
    }


def test_a_source_that_nothing_can_run_is_unpacked_to_be_compared_with():
    gptq = {"format": "quantized", "method": {"method": "gptq", "bits": 4, "group_size": 64}}
    plan = planned(["mlx-4bit"], facts=gptq)
    assert plan.goals["m:mlx-4bit"].note.startswith("lossless")
    assert inputs(plan, "m/reference")["model"] == "m/reference-unpack"
    assert inputs(plan, "m/reference-unpack")["model"] == "m/fetch"
    assert inputs(plan, "m:mlx-4bit/transcode")["model"] == "m/fetch"


def test_a_source_is_compared_with_as_it_came_and_its_adapters_beside_it():
    pickled = {"format": "pytorch"}
    plan = planned(["mlx-4bit"], facts=pickled, model={"adapters": ["path:a", "path:b"]})
    beside = inputs(plan, "m/reference")
    assert (beside["model"], beside["adapter0"]) == ("m:mlx-4bit/torch", "m/fetch-adapter-0")
    assert inputs(plan, "m:mlx-4bit/lora")["model"] == "m:mlx-4bit/torch"
    assert by_label(plan)["m/reference"].params["weights"] == ["1.0", "1.0"]
    plan = planned(["mlx-4bit"], facts={"format": "gguf", "quantization": "F16"})
    assert inputs(plan, "m/reference")["model"] == "m/fetch"
    assert by_label(plan)["m/reference"].format == "gguf"


def test_the_evaluation_says_how_much_is_measured():
    few = {"text": "builtin:evaluation", "tokens": 10}
    params = by_label(planned(["mlx-4bit"], evaluation=few))["m/reference"].params
    assert (params["tokens"], params["window"]) == (10, 512)


def test_a_budget_goes_by_sensitivities_that_all_budgets_share():
    targets = {
        "small": {"fit": {"memory": "1GiB", "context": 1024}},
        "three": {"recipe": "auto", "fit": {"bits": 3}},
        "gguf": {"recipe": "gguf-fit", "fit": {"bits": 4}},
    }
    plan = planned(targets, calibration={"text": "path:t", "tokens": 100})
    steps = by_label(plan)
    assert steps["m:small/quantize"].params["memory"] == 1 << 30
    assert steps["m:three/quantize"].params["bits"] == "3.0"
    assert steps["m:small/quantize"].tool.name == "mlx-fit"
    for target, tool in (("small", "mlx"), ("three", "mlx"), ("gguf", "gguf")):
        beside = inputs(plan, f"m:{target}/quantize")
        assert beside[f"{tool}-sensitivity"] == f"m/{tool}-sensitivity"
        assert beside["curvature"] == "m/curvature"
    assert inputs(plan, "m/mlx-sensitivity")["model"] == "m/convert"
    assert inputs(plan, "m/curvature")["model"] == "m/fetch"
    assert (
        steps["m/curvature"].params["tokens"] == steps["m:three/quantize"].params["tokens"] == 100
    )
    assert [label for label in labels(plan) if "reference" in label] == ["m/reference"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"recipe": "mlx-4bit", "fit": {"bits": 4}}, "has its bits, and chooses none by a budget"),
        ({"fit": {"bits": 4, "memory": "1GiB"}}, "it needs either `memory:` or `bits:`"),
        ({"fit": {}}, "it needs either `memory:` or `bits:`"),
        ({"fit": {"bits": 4}, "set": {"tokens": 9}}, "no step of recipe `mlx-fit` has a setting"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(target, said):
    with pytest.raises(ManifestError, match=re.escape(said)):
        planned({"t": target})


def test_a_mixture_has_no_budget():
    with pytest.raises(ManifestError, match="a mixture of 8 experts, whose curvature"):
        planned({"t": {"fit": {"bits": 4}}}, facts={"experts": 8})


def test_targets_share_what_is_the_same():
    fitted = {f"fit-{bits}": {"recipe": "gguf-fit", "fit": {"bits": bits}} for bits in (4, 5)}
    plan = planned({**fitted, "mlx-bf16": {"recipe": "mlx-bf16"}})
    assert labels(plan).count("m/convert") == 1
    assert labels(plan).count("m/reference") == 1
    plan = planned(["gguf-q4_0", "gguf-q8_0", "mlx-bf16"])
    assert [plan.steps[id_].label for id_ in plan.chain(plan.ends(Scope(("m:gguf-q8_0",))))] == [
        "m/fetch", "m/detect", "evaluation/fetch", "m/reference",
        "m:gguf-q8_0/quantize", "m:gguf-q8_0/validate",
    ]  # fmt: skip


def test_each_step_has_a_name_of_its_own():
    """Failures, logs and what `why` knows are found by it."""
    names = ("mlx-4bit", "gguf-q4_0", "gguf-q8_0", "gguf-bf16", "mlx-bf16")
    fitted = {f"fit-{bits}": {"fit": {"bits": bits}} for bits in (4, 5)}
    fitted |= {"fit-gguf": {"recipe": "gguf-fit", "fit": {"bits": 4}}}
    plan = planned({**fitted, **{name: {"recipe": name} for name in names}})
    named = labels(plan)
    assert len(set(named)) == len(named)
    assert "m/convert-mlx" in named and "m/convert-gguf" in named


def test_a_source_or_a_tool_that_is_not_pinned_is_an_error():
    manifest = Manifest.parse(
        Text("c", {"schema": 1, "models": {"m": {"source": "hf:a/b", "targets": ["mlx-4bit"]}}})
    )
    with pytest.raises(LockError, match="`hf:a/b` is not pinned"):
        make_plan(manifest, RECIPES, Lock({}, {}), TOOLBOX)


@pytest.mark.parametrize(
    ("parameters", "optimization", "chosen"),
    [
        (270_000_000, "balanced", "mlx-bf16"),
        (700_000_000, "balanced", "mlx-8bit"),
        (7_000_000_000, "balanced", "mlx-4bit"),
        (700_000_000, "maximum", "mlx-4bit"),
    ],
)
def test_auto_chooses_by_measured_parameters_and_says_which_rule_fired(
    parameters, optimization, chosen
):
    plan = planned(
        {"t": {"recipe": "auto"}},
        facts={"parameters": parameters},
        policy={"optimization": optimization},
    )
    assert plan.goals["m:t"].note.startswith(f"auto chose {chosen}: ")
    same = planned({"t": {"recipe": chosen}}, facts={"parameters": parameters})
    assert list(plan.steps) == list(same.steps)


def test_s12_a_name_never_beats_measured_parameters():
    plan = planned({"t": {"recipe": "auto"}}, facts={"parameters": 12_000_000_000})
    assert "auto chose mlx-4bit" in plan.goals["m:t"].note


def test_adapters_are_inputs_in_their_order_and_with_their_weights():
    def goal(*adapters):
        plan = planned(["mlx-4bit"], model={"adapters": list(adapters)})
        (merge,) = [s for s in plan.steps.values() if s.tool.name == "lora"]
        return plan, merge

    plan, merge = goal("path:a", {"source": "path:b", "weight": 0.5})
    assert list(merge.inputs)[-2:] == ["adapter0", "adapter1"]
    assert list(merge.params["weights"]) == ["1.0", "0.5"]
    assert "m:mlx-4bit/lora" in labels(plan)
    _, swapped = goal({"source": "path:b", "weight": 0.5}, "path:a")
    assert swapped.params != merge.params
    assert "lora" not in str(labels(planned(["mlx-4bit"])))


def test_what_has_no_way_is_an_error_at_its_target():
    with pytest.raises(ManifestError, match="m:mlx-8bit: the source is quantized already"):
        planned(["mlx-8bit"], facts={"format": "mlx", "method": {"method": "mlx", "bits": 4}})


@pytest.mark.parametrize(
    ("said", "memory"),
    [
        ("8GiB", 8 * GIB),
        ("16 GB", 16_000_000_000),
        ("512MiB", 512 << 20),
        (1024, 1024),
        ("1.5G", 1_500_000_000),
    ],
)
def test_memory_is_written_as_people_write_it(said, memory):
    manifest = Manifest.parse(
        Text(
            "c",
            {
                "schema": 1,
                "resources": {"memory": said},
                "models": {"m": {"source": "hf:a/b", "targets": ["x"]}},
            },
        )
    )
    assert manifest.resources.memory == memory


def test_memory_that_is_no_amount_is_an_error():
    with pytest.raises(ManifestError, match="written like `8GiB`"):
        Manifest.parse(Text("c", {"schema": 1, "resources": {"memory": "much"}, "models": {}}))
