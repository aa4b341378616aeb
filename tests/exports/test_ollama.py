"""What is written for Ollama is what Ollama writes: the digests here are those of its own library."""

from __future__ import annotations

import hashlib
import json
import os

import pytest
from formats.checkpoints import gguf_bytes

from cortexbuild.errors import StoreError, UsageError
from cortexbuild.exports import How, Package, ollama
from cortexbuild.formats.gguf.header import read_header
from cortexbuild.formats.ollama import (
    LICENCE,
    MODEL,
    PARAMETERS,
    TEMPLATE,
    Layer,
    Name,
    as_go_writes,
    config,
    manifest,
    parameters,
)
from cortexbuild.store.local import LocalStore

CHATML = (
    "{{ bos_token }}{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content']"
    " + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TOKENS = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]


def fields(**more):
    return {
        "general.architecture": "llama",
        "general.file_type": 7,
        "tokenizer.ggml.tokens": TOKENS,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.chat_template": CHATML,
    } | {f"tokenizer.{name}": value for name, value in more.items()}


def gguf(told, *, kind=8, blocks=4):
    """A file with one matrix of Q8_0, or of another kind, and these fields."""
    types = {bool: 7, int: 4, str: 8}
    rows = [
        (key, 9, (8, value))
        if isinstance(value, list)
        else (key, 10 if value == LARGE else types[type(value)], value)
        for key, value in told.items()
    ]
    size = {8: 34, 2: 18}[kind] * blocks
    return gguf_bytes(rows, [("blk.0.w", kind, (32, blocks), 0)], data=size)


LARGE = 8030261312
"""More than 32 bits hold."""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_parameters_are_those_of_llama_3_byte_for_byte():
    """library/llama3.1:8b and library/llama3:latest."""
    stops = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    written = parameters(stops, {})
    assert len(written) == 96
    assert sha256(written) == "56bb8bd477a519ffa694fc449c2413c6f0e1d3b1c88fa7e3c9d88d3ae49d4dcb"
    older = as_go_writes({"num_keep": 24, "stop": stops})
    assert sha256(older) == "577073ffcc6ce95b9981eacc77d1039568639e5638e83044994560d9ef82ce1b"


def test_a_config_is_that_of_llama_3_byte_for_byte(tmp_path):
    """library/llama3.1:8b: 8030261312 parameters, Q4_0, four layers."""
    layers = [
        Layer(
            MODEL, "87048bcd55216712ef14c11c2c303728463207b165bf18440b9b84b07ec00f87", 4661211808
        ),
        Layer(TEMPLATE, "11ce4ee3e170f6adebac9a991c22e22ab3f8530e154ee669954c4bc73061c258", 1481),
        Layer(LICENCE, "f1cd752815fcf68c3c2e73b2b00b5396c5dffb9eebe49567573f275f9ec85fcd", 12321),
        Layer(PARAMETERS, "56bb8bd477a519ffa694fc449c2413c6f0e1d3b1c88fa7e3c9d88d3ae49d4dcb", 96),
    ]
    path = tmp_path / "m.gguf"
    told = {"general.architecture": "llama", "general.file_type": 2}
    path.write_bytes(gguf(told | {"general.parameter_count": LARGE}, kind=2))
    written = config(read_header(path), layers)
    assert len(written) == 485
    assert sha256(written) == "e711233e734332fe5f8a09b2407fb5a083e39ca7e0ba90788026414cd4c059af"


def test_a_manifest_is_that_of_llama_3_byte_for_byte():
    """library/llama3:latest, whose ID in `ollama list` is 365c0bd3c000. The registry has it without
    the newline that `ollama create` writes on a disk."""
    layers = [
        Layer(
            MODEL, "6a0746a1ec1aef3e7ec53868f220ff6e389f6f8ef87a01d77c96807de94ca2aa", 4661211424
        ),
        Layer(LICENCE, "4fa551d4f938f68b8c1e6afa9d28befb70e3f33f75d0753248d530364aeea40f", 12403),
        Layer(TEMPLATE, "8ab4849b038cf0abc5b1c9b8ee1443dca6b93a045c2272180d985126eb40bf6f", 254),
        Layer(PARAMETERS, "577073ffcc6ce95b9981eacc77d1039568639e5638e83044994560d9ef82ce1b", 110),
    ]
    written = manifest(
        Layer("", "3f8eb4da87fa7a3c9da615036b0dc418d31fef2a30b115ff33562588b32c691d", 485), layers
    )
    given = written.replace(b'"mediaType":""', b'"mediaType":"%s"' % CONFIG)
    assert given.endswith(b"}]}\n")
    assert sha256(given[:-1]).startswith("365c0bd3c000")


CONFIG = b"application/vnd.docker.container.image.v1+json"


@pytest.mark.parametrize(
    ("text", "path", "short"),
    [
        ("m", "registry.ollama.ai/library/m/latest", "m:latest"),
        (
            "qwen2.5:gguf-q4_k_m",
            "registry.ollama.ai/library/qwen2.5/gguf-q4_k_m",
            "qwen2.5:gguf-q4_k_m",
        ),
        ("me/m:t", "registry.ollama.ai/me/m/t", "me/m:t"),
        ("host:5000/me/m:t", "host:5000/me/m/t", "host:5000/me/m:t"),
    ],
)
def test_a_name_says_where_its_manifest_is(text, path, short):
    name = Name.parse(text)
    assert (str(name.path), str(name)) == (f"manifests/{path}", short)


@pytest.mark.parametrize(
    "text", ["", "..", "a/../b", "-m", "m:", "m:-t", "a.b/m", "m m", "x/y/z/m", "m:" + "t" * 81]
)
def test_what_is_no_name_of_ollamas_is_refused(text):
    with pytest.raises(UsageError, match="--name|cannot be the name"):
        Name.parse(text)


@pytest.fixture
def store(tmp_path):
    held = LocalStore(tmp_path / "store")
    yield held
    held.close()


def package(store, told=None, *, texts=None, generation=b"", name="m-t.gguf", format_="gguf"):
    folder = store.root / "tmp" / "out"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(gguf(told or fields()))
    (file,) = store.add_folder(folder).files
    source = {"generation_config.json": generation}.get
    return Package("m:t", format_, {name: file}, texts or {}, source)


def layers_of(root, name="m:t"):
    found = json.loads((root / Name.parse(name).path).read_bytes())
    return {
        row["mediaType"].rpartition(".")[2]: root / "blobs" / row["digest"].replace(":", "-")
        for row in found["layers"]
    }


def test_every_part_has_the_name_of_its_content_and_the_weights_are_no_copy(tmp_path, store):
    packed = package(store, texts={"LICENSE": b"do as you like\n"})
    root = tmp_path / "ollama"
    given = ollama.give(store, packed, root, "m:t", How())
    (weights,) = packed.files.values()
    for path in (root / "blobs").iterdir():
        assert path.name == f"sha256-{sha256(path.read_bytes())}"
    layers = layers_of(root)
    assert list(layers) == ["model", "template", "license", "params"]
    assert layers["model"].samefile(store.blob(weights.digest)) and given.bytes_ == {
        "linked": weights.size
    }
    assert layers["license"].read_bytes() == b"do as you like\n"
    assert json.loads(layers["params"].read_bytes()) == {"stop": ["</s>"]}
    assert (given.name, given.use) == ("m:t", "ollama run m:t")
    assert not [path for path in root.rglob(".*")]
    again = ollama.give(store, packed, root, "m:t", How())
    assert again.bytes_ == {"there": weights.size}
    assert store.has_blob(weights)


def test_each_text_of_a_licence_is_a_layer(tmp_path, store):
    texts = {"README.md": b"a card", "LICENSE": b"do as you like\n", "USE_POLICY.md": b"no harm\n"}
    ollama.give(store, package(store, texts=texts), tmp_path, "m:t", How())
    rows = json.loads((tmp_path / Name.parse("m:t").path).read_bytes())["layers"]
    licences = [row for row in rows if row["mediaType"].endswith(".license")]
    assert [row["digest"] for row in licences] == [
        f"sha256:{sha256(texts[name])}" for name in ("LICENSE", "USE_POLICY.md")
    ]
    assert all((tmp_path / "blobs" / row["digest"].replace(":", "-")).exists() for row in licences)


def test_how_a_model_is_sampled_and_where_it_ends_is_what_its_files_say(tmp_path, store):
    generation = b'{"do_sample": true, "temperature": 0.6, "top_p": 0.95, "top_k": 20, "eos_token_id": [2, 4, 99]}'
    root = tmp_path / "ollama"
    ollama.give(store, package(store, generation=generation), root, "m:t", How())
    assert layers_of(root)["params"].read_bytes() == (
        b'{"stop":["\\u003c/s\\u003e","\\u003c|im_end|\\u003e"],"temperature":0.6,"top_k":20,"top_p":0.95}\n'
    )
    greedy = b'{"do_sample": false, "temperature": 0.6}'
    ollama.give(store, package(store, generation=greedy), root, "m:g", How())
    assert json.loads(layers_of(root, "m:g")["params"].read_bytes()) == {"stop": ["</s>"]}


def test_a_template_is_ollamas_words_for_the_models_own(tmp_path, store):
    root = tmp_path / "ollama"
    given = ollama.give(store, package(store), root, "m:t", How())
    assert given.notes == ()
    assert layers_of(root)["template"].read_text() == (
        '{{ range .Messages }}{{ if eq .Role "system" }}<|im_start|>system\n'
        "{{ .Content }}<|im_end|>\n"
        '{{ else if eq .Role "user" }}<|im_start|>user\n'
        "{{ .Content }}<|im_end|>\n<|im_start|>assistant\n"
        '{{ else if eq .Role "assistant" }}{{ .Content }}<|im_end|>\n'
        "{{ end }}{{ end }}"
    )


def test_who_writes_the_first_token_is_not_asked_twice(tmp_path, store):
    root = tmp_path / "ollama"
    ollama.give(store, package(store, fields(**{"ggml.add_bos_token": False})), root, "m:t", How())
    text = layers_of(root)["template"].read_text()
    assert text.startswith("{{ if not .System }}<s>{{ end }}") and text.count("<s>") == 2


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (
            "{% for m in messages %}{{ loop.index }}{{ m['content'] }}{% endfor %}",
            "is not guessed at",
        ),
        ("{% if %}", "is not guessed at"),
        (
            "{% for m in messages %}{{ '{{' + m['content'] + '}}' }}{% endfor %}",
            "is not guessed at",
        ),
        (None, "the model has none"),
    ],
)
def test_a_template_that_is_not_understood_is_left_out_and_said(tmp_path, store, template, said):
    told = fields(chat_template=template)
    if template is None:
        del told["tokenizer.chat_template"]
    root = tmp_path / "ollama"
    (note,) = ollama.give(store, package(store, told), root, "m:t", How()).notes
    assert said in note and "template" not in layers_of(root)


def test_another_model_of_that_name_stays_until_it_is_to_be_replaced(tmp_path, store):
    root = tmp_path / "ollama"
    ollama.give(store, package(store), root, "m:t", How())
    path = root / Name.parse("m:t").path
    before = path.read_bytes()
    other = package(store, fields(chat_template="{{ 1 }}"))
    with pytest.raises(StoreError, match="Ollama has another model"):
        ollama.give(store, other, root, "m:t", How())
    assert path.read_bytes() == before
    ollama.give(store, other, root, "m:t", How(replace=True))
    assert path.read_bytes() != before


@pytest.mark.parametrize("host", ["ollama.com", "registry.ollama.ai"])
def test_a_manifest_that_newer_versions_see_first_is_in_the_way(tmp_path, store, host):
    shadow = tmp_path / "ollama" / "manifests-v2" / host / "library" / "m" / "t"
    shadow.parent.mkdir(parents=True)
    shadow.write_text("{}")
    with pytest.raises(StoreError, match="would not see this one") as caught:
        ollama.give(store, package(store), tmp_path / "ollama", "m:t", How(replace=True))
    assert "`ollama rm m:t`" in caught.value.hint and not (tmp_path / "ollama/blobs").exists()


def test_weights_that_are_there_under_the_right_name_and_wrong_are_put_right(tmp_path, store):
    packed, root = package(store), tmp_path / "ollama"
    (weights,) = packed.files.values()
    blob = root / "blobs" / f"sha256-{weights.digest}"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"x" * weights.size)
    assert ollama.give(store, packed, root, "m:t", How()).bytes_ == {"linked": weights.size}
    assert sha256(blob.read_bytes()) == weights.digest


def test_a_copy_is_one_of_its_own_and_can_be_edited(tmp_path, store):
    packed, root = package(store), tmp_path / "ollama"
    (weights,) = packed.files.values()
    assert ollama.give(store, packed, root, "m:t", How(copies=True)).bytes_ == {
        "copied": weights.size
    }
    blob = layers_of(root)["model"]
    assert not blob.samefile(store.blob(weights.digest)) and os.access(blob, os.W_OK)


def test_only_gguf_goes_to_ollama(tmp_path, store):
    other = package(store, format_="mlx")
    with pytest.raises(UsageError, match="m:t is mlx") as caught:
        ollama.give(store, other, tmp_path / "ollama", "m:t", How())
    assert "gguf-q4_k_m" in caught.value.hint and not (tmp_path / "ollama").exists()


def test_where_ollama_keeps_its_models(monkeypatch, tmp_path):
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path))
    assert ollama.root() == tmp_path
    monkeypatch.delenv("OLLAMA_MODELS")
    monkeypatch.setenv("HOME", "/home/me")
    assert str(ollama.root()) == "/home/me/.ollama/models"


def test_a_number_of_parameters_is_rounded_as_ollama_does(tmp_path):
    said = {}
    for count in (LARGE, 361821120, 3 * 10**9, 46_080, 999):
        path = tmp_path / "m.gguf"
        told = {"general.architecture": "llama", "general.parameter_count": count}
        path.write_bytes(gguf(told))
        said[count] = json.loads(config(read_header(path), []))["model_type"]
    assert list(said.values()) == ["8.0B", "361.82M", "3B", "46K", "999"]
