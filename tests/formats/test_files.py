from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortexbuild.formats.files import (
    Shard,
    Weights,
    model_files,
    notice_files,
    shard_of,
    weights,
)

TOLD = [
    "added_tokens.json",
    "additional_chat_templates/tool_use.jinja",
    "chat_template.jinja",
    "chat_templates/rag.jinja",
    "config.json",
    "config_sentence_transformers.json",
    "generation_config.json",
    "merges.txt",
    "preprocessor_config.json",
    "processor_config.json",
    "quantize_config.json",
    "qwen.tiktoken",
    "special_tokens_map.json",
    "tekken.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer.model.v3",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
    "vocab.json",
    "vocab.txt",
]
IGNORED = [
    ".cache/huggingface/model.safetensors",
    ".git/config",
    ".gitattributes",
    ".hidden.jinja",
    "LICENSE",
    "LICENSE.txt",
    "README.md",
    "USE_POLICY.md",
    "coreml/config.json",
    "flax_model.msgpack",
    "images/chart.png",
    "logo.svg",
    "modeling_custom.py",
    "onnx/model.onnx",
    "onnx/model_quantized.onnx",
    "optimizer.bin",
    "rng_state_0.pth",
    "runs/events.out.tfevents.1",
    "tf_model.h5",
    "tokenization_custom.py",
    "trainer_state.json",
    "training.log",
    "training_args.bin",
]
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
INDEX = "model.safetensors.index.json"


def test_only_what_tells_of_a_model_is_kept() -> None:
    assert model_files([*TOLD, *IGNORED, "model.safetensors"]) == sorted(
        [*TOLD, "model.safetensors"]
    )


def test_a_licence_is_known_by_its_name_at_the_top_alone() -> None:
    theirs = [
        "ACCEPTABLE_USE_POLICY.md", "COPYING", "LICENCE", "LICENSE-MODEL", "LICENSE.md", "Licenses.txt",
        "NOTICE", "Notice.txt", "THIRD_PARTY_NOTICES.txt", "USE_POLICY.md", "license_gemma.txt",
    ]  # fmt: skip
    others = [
        "LICENSES/MIT.txt",
        "noticeboard.gguf",
        "license",
        "my-license.txt",
        "model.safetensors",
    ]
    assert notice_files([*theirs, *others, "LICENSE", "README.md"]) == sorted([*theirs, "LICENSE"])


def test_safetensors_are_preferred_to_all_other_formats() -> None:
    others = ["pytorch_model.bin", "m.Q4_K_M.gguf", "weights.npz", "original/consolidated.00.pth"]
    assert model_files(["config.json", *SHARDS, INDEX, *others, "consolidated.safetensors"]) == [
        "config.json",
        *SHARDS,
        INDEX,
    ]


PREFERENCE: list[tuple[list[str], Weights | None]] = [
    (["model.safetensors"], Weights("safetensors", ("model.safetensors",))),
    ([*SHARDS, INDEX], Weights("safetensors", tuple(SHARDS), INDEX)),
    (["model.safetensors", *SHARDS], Weights("safetensors", ("model.safetensors",))),
    (
        ["model.fp16.safetensors", "model.safetensors"],
        Weights("safetensors", ("model.safetensors",)),
    ),
    (
        ["gptq_model-4bit-128g.safetensors", "x.md"],
        Weights("safetensors", ("gptq_model-4bit-128g.safetensors",)),
    ),
    (["pytorch_model.bin", "a.gguf"], Weights("pytorch", ("pytorch_model.bin",))),
    (["weights.npz", "a.gguf"], Weights("npz", ("weights.npz",))),
    (["Q4/a.gguf", "mmproj-a.gguf"], Weights("gguf", ("Q4/a.gguf",))),
    (["A.GGUF"], Weights("gguf", ("A.GGUF",))),
    (
        ["original/consolidated.00.pth", "original/consolidated.01.pth"],
        Weights("pytorch", ("original/consolidated.00.pth", "original/consolidated.01.pth")),
    ),
    (
        ["consolidated.safetensors", "consolidated.00.pth"],
        Weights("safetensors", ("consolidated.safetensors",)),
    ),
    (["adapters.safetensors", "0000100_adapters.safetensors", "adapter_config.json"], None),
    (["optimizer.safetensors", "training_args.bin", "openvino_model.bin"], None),
    ([".cache/model.safetensors"], None),
    ([], None),
]


@pytest.mark.parametrize("paths, expected", PREFERENCE)
def test_weights_are_chosen_in_one_format(paths: list[str], expected: Weights | None) -> None:
    assert weights(paths) == expected
    assert weights(iter(paths)) == expected


def test_adapters_and_markers_are_kept_beside_weights_or_alone() -> None:
    adapter = ["adapter_config.json", "adapters.safetensors"]
    assert model_files([*adapter, "0000100_adapters.safetensors", "README.md"]) == adapter
    for name in ("adapter.safetensors", "adapter_model.safetensors", "fine_tuned.marker"):
        assert name in model_files([name, "config.json", "model.safetensors"])


def test_a_single_file_always_matters() -> None:
    for name in ("corpus.txt", "README.md", ".hidden", "model.onnx"):
        assert model_files([name]) == [name]


def test_every_shard_and_its_index_are_kept() -> None:
    bins = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
    index = "pytorch_model.bin.index.json"
    assert model_files([*bins, index, "x.md"]) == [*bins, index]
    ggufs = [f"m-Q8_0-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert model_files([*ggufs, "x.md"]) == ggufs


def test_a_shard_tells_its_siblings() -> None:
    shard = shard_of("q/m-00002-of-00003.gguf")
    assert shard == Shard("q/m", 2, 3, ".gguf")
    assert shard.sibling(1) == "q/m-00001-of-00003.gguf"
    assert shard_of("m-2-of-3.gguf") is None


@given(
    st.lists(
        st.sampled_from(
            [*TOLD, *IGNORED, *SHARDS, INDEX, "model.safetensors", "x.safetensors", "a.gguf"]
            + ["pytorch_model.bin", "weights.npz", "consolidated.00.pth", "adapters.safetensors"]
        ),
        min_size=2,
        unique=True,
    )
)
def test_the_chosen_files_hold_the_same_model_as_the_repository(paths: list[str]) -> None:
    chosen = model_files(paths)
    assert set(chosen) <= set(paths)
    assert weights(chosen) == weights(paths)
    if len(chosen) > 1:
        assert model_files(chosen) == chosen
