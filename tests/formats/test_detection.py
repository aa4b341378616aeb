from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from checkpoints import (
    INPUTS,
    MODULE,
    OUTPUTS,
    Shapes,
    gguf_bytes,
    plain,
    write_json,
    write_model,
    write_safetensors,
)

from cortexbuild.core.digest import canonical
from cortexbuild.errors import IntegrityError, UsageError
from cortexbuild.formats.detection import detect, detect_files
from cortexbuild.formats.facts import Facts, Method
from cortexbuild.formats.files import model_files
from cortexbuild.formats.listing import LocalFiles, local_files
from cortexbuild.formats.settings import quantization_in_name

EXAMPLE = Path(__file__).parents[2] / "examples/models/stdlib-llama-6m"
EXAMPLE_PARAMETERS = 5_770_496
VALUES = INPUTS * OUTPUTS
Config = dict[str, Any]
CONFIG: Config = {"model_type": "llama", "hidden_size": INPUTS, "max_position_embeddings": 512}


def said(**found: Any) -> Config:
    return {**CONFIG, "quantization_config": found}


def test_the_example_is_plain_safetensors() -> None:
    facts = detect(EXAMPLE)
    assert (facts.name, facts.format, facts.quantization) == (
        "stdlib-llama-6m",
        "safetensors",
        "none",
    )
    assert facts.parameters == EXAMPLE_PARAMETERS
    assert (facts.context_length, facts.architecture) == (1024, "llama")
    assert facts.size_bytes == sum(path.stat().st_size for path in EXAMPLE.iterdir())
    assert facts.warnings == ()


def test_buffers_are_not_parameters(tmp_path: Path) -> None:
    buffers = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": ("F32", (64,)),
        "embeddings.position_ids": ("I64", (1, 512)),
        "h.0.attn.bias": ("F32", (1, 1, 512, 512)),
        "h.0.attn.masked_bias": ("F32", ()),
    }
    real = {"h.0.attn.c_attn.bias": ("F32", (96,)), **plain()}
    facts = detect(write_model(tmp_path / "m", {**buffers, **real}, CONFIG))
    assert facts.parameters == VALUES + 96


def test_a_tied_output_that_was_saved_too_counts_once(tmp_path: Path) -> None:
    shapes = {"model.embed_tokens.weight": ("F16", (9, 8)), "lm_head.weight": ("F16", (9, 8))}
    tied = {**CONFIG, "tie_word_embeddings": True}
    assert detect(write_model(tmp_path / "a", shapes, tied)).parameters == 72
    assert detect(write_model(tmp_path / "b", shapes, CONFIG)).parameters == 144


SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def sharded(folder: Path) -> Path:
    folder.mkdir()
    write_safetensors(folder / SHARDS[0], {"a": ("F16", (2, 3))}, {"format": "pt"})
    write_safetensors(folder / SHARDS[1], {"b": ("F16", (4,))}, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {"a": SHARDS[0], "b": SHARDS[1]}}
    write_json(folder / "model.safetensors.index.json", index)
    write_json(folder / "config.json", CONFIG)
    return folder


def rewrite_index(folder: Path, **places: str) -> None:
    write_json(folder / "model.safetensors.index.json", {"weight_map": places})


def test_shards_are_one_model(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "m")
    assert (detect(folder).format, detect(folder).parameters) == ("safetensors", 10)
    alone = detect(folder / SHARDS[1])
    assert (alone.name, alone.parameters) == ("model", 10)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "m")
    (folder / SHARDS[1]).unlink()
    for path in (folder, folder / SHARDS[0]):
        with pytest.raises(IntegrityError, match=f"{SHARDS[1]}: is missing"):
            detect(path)


def test_a_file_missing_from_the_disk_but_not_from_the_index_is_named(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", {"a": ("F16", (2,))}, CONFIG)
    rewrite_index(folder, a="model.safetensors", b="extra.safetensors")
    with pytest.raises(IntegrityError, match="extra.safetensors: is missing; .* lists it"):
        detect(folder)


def test_an_index_that_disagrees_with_the_files_is_refused(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "m")
    rewrite_index(folder, a=SHARDS[1], b=SHARDS[1])
    with pytest.raises(IntegrityError, match="says that `a` is in model-00002"):
        detect(folder)
    rewrite_index(folder, a=SHARDS[0], b=SHARDS[1], c=SHARDS[1])
    with pytest.raises(IntegrityError, match="says that `c` is in"):
        detect(folder)
    rewrite_index(folder, a="../../etc/passwd")
    with pytest.raises(IntegrityError, match="passwd: is missing"):
        detect(folder)
    write_json(folder / "model.safetensors.index.json", {"weight_map": {"a": 5}})
    with pytest.raises(IntegrityError, match="not a table of file names"):
        detect(folder)


def test_a_tensor_that_the_index_forgot_is_told(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "m")
    write_safetensors(folder / SHARDS[1], {"b": ("F16", (4,)), "c": ("F16", (1,))})
    assert detect(folder).warnings == ("1 tensors are not in model.safetensors.index.json",)


def test_a_tensor_in_two_files_is_refused(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "m")
    (folder / "model.safetensors.index.json").unlink()
    write_safetensors(folder / SHARDS[1], {"a": ("F16", (2, 3))})
    with pytest.raises(IntegrityError, match="`a` is in model-00001-of-00002.safetensors too"):
        detect(folder)


def gguf(path: Path, *, block: int = 0, file_type: int = 7, **text: str) -> Path:
    fields: list[Any] = [("general.architecture", 8, "llama")]
    fields += [("general.file_type", 4, file_type), ("llama.context_length", 4, 2048)]
    fields += [(key.replace("__", "."), 8, value) for key, value in text.items()]
    found = [(f"blk.{block}.w.weight", 8, (64, 2), 0)]
    found += [("rope_freqs.weight", 0, (8,), 160)] if block == 0 else []
    path.write_bytes(gguf_bytes(fields, found, data=192))
    return path


def test_gguf_is_known_by_its_bytes_in_a_folder_or_alone(tmp_path: Path) -> None:
    path = gguf(tmp_path / "TinyQ4_K_M.gguf", general__license="mit")
    facts = detect(path)
    assert (facts.name, facts.format, facts.quantization) == ("TinyQ4_K_M", "gguf", "Q8_0")
    assert (facts.parameters, facts.context_length, facts.licence) == (128, 2048, "mit")
    assert facts.architecture == "llama"
    assert detect(tmp_path).format == "gguf"
    assert detect(path.rename(tmp_path / "sha256-0123")).quantization == "Q8_0"


def test_gguf_of_another_magic_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"hello, world")
    facts = detect(tmp_path / "x.gguf")
    assert facts.format == "unknown"
    assert facts.reason == "x.gguf is called .gguf and does not begin with `GGUF`"


def test_gguf_shards_are_one_model_and_a_missing_one_is_named(tmp_path: Path) -> None:
    first = gguf(tmp_path / "m-00001-of-00002.gguf")
    second = gguf(tmp_path / "m-00002-of-00002.gguf", block=1)
    assert detect(tmp_path).parameters == detect(first).parameters == 256
    assert detect(first).name == "m"
    second.unlink()
    for path in (tmp_path, first):
        with pytest.raises(IntegrityError, match="m-00002-of-00002.gguf: is missing"):
            detect(path)


def test_several_gguf_models_in_one_folder_are_not_guessed_between(tmp_path: Path) -> None:
    gguf(tmp_path / "a.gguf")
    gguf(tmp_path / "b.gguf")
    gguf(tmp_path / "mmproj-a.gguf")
    facts = detect(tmp_path)
    assert facts.format == "unknown"
    assert facts.reason == "2 GGUF models are here, the first is a.gguf: name one of them"


def test_gguf_adapters_are_adapters(tmp_path: Path) -> None:
    facts = detect(gguf(tmp_path / "lora.gguf", general__type="adapter"))
    assert (facts.format, facts.has_lora_adapter) == ("adapter", True)


def test_pytorch_is_known_by_name_and_magic_and_never_opened(tmp_path: Path) -> None:
    config = json.loads((EXAMPLE / "config.json").read_text())
    write_json(tmp_path / "config.json", config)
    bomb = b"\x80\x02cos\nsystem\nq\x00X\x05\x00\x00\x00falseq\x01\x85q\x02Rq\x03."
    (tmp_path / "pytorch_model.bin").write_bytes(bomb)
    facts = detect(tmp_path)
    assert (facts.format, facts.parameters) == ("pytorch", EXAMPLE_PARAMETERS)
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK\x03\x04 and so on")
    assert detect(tmp_path).format == "pytorch"
    (tmp_path / "pytorch_model.bin").write_bytes(b"hello")
    assert detect(tmp_path).format == "unknown"
    (tmp_path / "any.pth").write_bytes(bomb)
    assert detect(tmp_path / "any.pth").format == "pytorch"


def test_a_missing_shard_of_pytorch_is_named(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model-00001-of-00002.bin").write_bytes(b"\x80\x02")
    with pytest.raises(IntegrityError, match="pytorch_model-00002-of-00002.bin: is missing"):
        detect(tmp_path)


def test_quantized_pytorch_is_quantized_by_its_config(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02")
    write_json(tmp_path / "config.json", said(quant_method="gptq", bits=4, group_size=128))
    facts = detect(tmp_path)
    assert (facts.format, facts.quantization) == ("quantized", "gptq")
    assert facts.method == Method("gptq", 4, 128)


NAMES = {
    "llama-4bit": "int4",
    "Llama-INT4": "int4",
    "x-gptq-4bit": "int4",
    "model_8bit": "int8",
    "x-8-bit": "int8",
    "x-GPTQ": "gptq",
    "x-awq-v2": "awq",
    "foo-14bit": None,
    "gemma-4B": None,
    "lawqer": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_hint_only_in_whole_words(name: str, tmp_path: Path) -> None:
    assert quantization_in_name(name) == NAMES[name]
    folder = tmp_path / name
    folder.mkdir()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    assert detect(folder).quantization == (NAMES[name] or "none")
    assert detect(write_model(tmp_path / "safe" / name, plain(), CONFIG)).quantization == "none"


@pytest.mark.parametrize("name", ["gemma-12b", "qwen-32b", "qwen-72b", "llama-1b", "gemma-270m"])
def test_s12_a_size_in_a_name_is_never_read(name: str, tmp_path: Path) -> None:
    facts = detect(write_model(tmp_path / name, plain(), CONFIG))
    assert facts.parameters == VALUES
    assert facts == Facts(
        **{**facts_of(detect(write_model(tmp_path / "m", plain(), CONFIG))), "name": name}
    )


def facts_of(facts: Facts) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in Facts.__dataclass_fields__}


def test_a_config_alone_is_an_incomplete_model(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", CONFIG)
    facts = detect(tmp_path)
    assert (facts.format, facts.reason) == ("incomplete", "config.json is here, and no weights are")


def test_other_folders_and_files_are_unknown(tmp_path: Path) -> None:
    assert detect(tmp_path).format == "unknown"
    (tmp_path / "notes.txt").write_text("hello")
    assert detect(tmp_path).format == "unknown"
    assert detect(tmp_path / "notes.txt").format == "unknown"
    with pytest.raises(UsageError, match="no such file or folder"):
        detect(tmp_path / "absent")


def test_a_damaged_config_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": ')
    with pytest.raises(IntegrityError, match="config.json: not JSON"):
        detect(tmp_path)


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "gone")
    with pytest.raises(IntegrityError, match="model.safetensors: a link that leads nowhere"):
        detect(tmp_path)


LORA: Shapes = {
    f"{MODULE}.lora_a": ("F32", (INPUTS, 8)),
    f"{MODULE}.lora_b": ("F32", (8, OUTPUTS)),
}
LORA_PARAMETERS = 8 * (INPUTS + OUTPUTS)


def test_mlx_lm_adapters_are_adapters(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "adapters.safetensors", LORA)
    write_safetensors(tmp_path / "0000100_adapters.safetensors", LORA)
    config = {"fine_tune_type": "lora", "model": "org/base", "lora_parameters": {"rank": 8}}
    write_json(tmp_path / "adapter_config.json", config)
    facts = detect(tmp_path)
    assert (facts.format, facts.base_model) == ("adapter", "org/base")
    assert facts.reason == "a LoRA adapter of rank 8, as mlx-lm writes it"
    assert facts.parameters == LORA_PARAMETERS
    assert facts.has_lora_adapter


def test_peft_adapters_are_adapters_and_keep_paths_to_themselves(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "adapter_model.safetensors", LORA)
    config = {"peft_type": "LORA", "r": 8, "base_model_name_or_path": "/home/me/models/base-7b"}
    write_json(tmp_path / "adapter_config.json", config)
    facts = detect(tmp_path)
    assert (facts.format, facts.base_model) == ("adapter", "base-7b")
    assert facts.reason == "a LoRA adapter of rank 8, as PEFT writes it"


def test_cortex_adapters_are_adapters_alone_and_noted_beside_weights(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "adapter.safetensors", LORA)
    write_json(tmp_path / "config.json", CONFIG)
    assert detect(tmp_path).format == "adapter"
    write_safetensors(tmp_path / "model.safetensors", plain())
    facts = detect(tmp_path)
    assert (facts.format, facts.has_lora_adapter) == ("safetensors", True)
    assert facts.parameters == VALUES


def test_a_fine_tuned_model_of_cortex_tells_its_base_and_its_size(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", plain(), CONFIG)
    marker = "LoRA fine-tuned version of /Users/me/models/base-1b\nCreated: today\n"
    (folder / "fine_tuned.marker").write_text(marker)
    before = detect(folder)
    assert (before.is_fine_tuned, before.base_model) == (True, "base-1b")
    write_safetensors(folder / "0000100_adapters.safetensors", LORA)
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x").write_bytes(bytes(99))
    assert detect(folder).size_bytes == before.size_bytes


README = """---
license: other  # see below
license_name: "gemma"
base_model:
- org/base
language: [en]
---
# A model
license: mit
"""


def test_a_card_tells_licence_and_base(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", plain(), CONFIG)
    (folder / "README.md").write_text(README)
    assert (detect(folder).licence, detect(folder).base_model) == ("gemma", "org/base")
    (folder / "README.md").write_text("no front matter\nlicense: mit\n")
    assert detect(folder).licence is None
    write_json(folder / "config.json", {**CONFIG, "license": "apache-2.0"})
    assert detect(folder).licence == "apache-2.0"


def test_facts_of_a_repository_are_those_of_the_files_that_matter(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "m")
    (folder / "notes.md").write_text("hello")
    gguf(folder / "m.gguf")
    files = local_files(folder)
    kept = {path: files.sizes[path] for path in model_files(files.sizes)}
    whole, part = detect(folder), detect_files(LocalFiles(folder, kept), "m")
    assert {**facts_of(whole), "size_bytes": 0} == {**facts_of(part), "size_bytes": 0}
    assert part.size_bytes == sum(kept.values())


def test_text_that_is_no_unicode_can_be_hashed(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", plain(), {**CONFIG, "license": "\ud800"})
    assert canonical(detect(folder).to_plain())
    assert canonical(Facts("odd\udcff", "unknown", "\ud800", 0, warnings=("\ud800",)).to_plain())


def test_gguf_shards_that_share_a_tensor_are_refused(tmp_path: Path) -> None:
    gguf(tmp_path / "m-00001-of-00002.gguf")
    gguf(tmp_path / "m-00002-of-00002.gguf")
    with pytest.raises(IntegrityError, match="another of its shards has too"):
        detect(tmp_path)
