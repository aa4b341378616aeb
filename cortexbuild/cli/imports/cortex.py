"""Cortex's own config.yaml: what is about building is carried over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...core.document import Text
from ...core.naming import name_of
from ...core.planning.policy import CORTEX_WORDS
from ...errors import ManifestError
from ...sources._found.cortex import models_in
from .carry import Carried, Desk, Entry, Left

FASTEST = ("maximum", "max", "speed", "fast", "performance")
"""Levels at which Cortex takes four bits."""
_RUN = "it is about running: `generate` has options for it"
KEYS: Mapping[str, str] = {
    "model_path": "",
    "default_quantization": "",
    "gpu_optimization_level": "",
    "auto_quantize": "",
    "mlx_backend": "",
    "supported_quantizations": "recipes say what there is: `cortexbuild recipes`",
    "model_cache_dir": "models are kept once, in the store; `cortexbuild init` finds those there",
    "quantization_cache": "what Cortex made there cannot be loaded again; it is built anew",
    "max_loaded_models": "it is about the running Cortex",
    "context_length": "it is about running; `fit: {memory: …, context: …}` builds for a length",
    "temperature": _RUN, "top_p": _RUN, "top_k": _RUN, "repetition_penalty": _RUN,
    "max_tokens": _RUN, "seed": _RUN,
    "stream_output": "it is about the running Cortex",
}  # fmt: skip
"""Every key that is about models, and why it is not carried over, if it is not."""


def read_cortex(text: Text, desk: Desk) -> Carried:
    data, left = text.data, []
    policy: dict[str, object] = {}
    word = str(data.get("default_quantization") or "auto").lower()
    supported = data.get("supported_quantizations")
    if word != "auto" and word not in CORTEX_WORDS:
        why = f"Cortex ignores it too: known are {', '.join(CORTEX_WORDS)}"
        left.append(_left(text, "default_quantization", why))
    elif word.startswith("q") and isinstance(supported, list) and word not in _words(supported):
        left.append(_left(text, "default_quantization", "`supported_quantizations` has it not"))
    elif word != "auto":
        policy["quantization"] = word
    if "gpu_optimization_level" in data:
        fastest = str(data["gpu_optimization_level"]).lower() in FASTEST
        policy["optimization"] = "maximum" if fastest else "balanced"
    if "auto_quantize" in data:
        if not isinstance(data["auto_quantize"], bool):
            where = text.place(("auto_quantize",))
            raise ManifestError(
                "auto_quantize: expected true or false", where=where, hint="write `true` or `false`"
            )
        policy["auto_quantize"] = data["auto_quantize"]
    recipe = "auto" if data.get("mlx_backend", True) else "auto-int"
    entries: tuple[Entry, ...] = ()
    if "model_path" in data:
        entries, problem = _models(str(data["model_path"]), recipe, desk)
        left += [_left(text, "model_path", problem)] if problem else []
    if "mlx_backend" in data and not entries:
        left.append(_left(text, "mlx_backend", f"no model came with it; its recipe is `{recipe}`"))
    for key in data:
        if why := KEYS.get(key, "it is not about building models"):
            left.append(_left(text, key, why))
    return Carried(entries, tuple(left), policy)


def _left(text: Text, key: str, why: str) -> Left:
    return Left(text.place((key,)), key, why)


def _words(values: list[object]) -> Iterator[str]:
    return (str(value).lower() for value in values)


def _models(said: str, recipe: str, desk: Desk) -> tuple[tuple[Entry, ...], str]:
    """The model that a path is, or those that are in the folder. Cortex's default is `~/models`."""
    place = desk.path(said)
    if not place.exists():
        return (), f"there is no {said} here"
    found = list(models_in(place, place.name))
    if [one.place for one in found] != [place]:  # a folder of models
        found = [one for child in sorted(place.iterdir()) for one in models_in(child, child.name)]
    entries = []
    for one in found:
        inside = "" if one.place == place else f"/{one.place.relative_to(place).as_posix()}"
        origin = desk.origin(said.rstrip("/") + inside)
        is_gguf = one.place.suffix.lower() == ".gguf"
        entries.append(Entry(name_of(origin), origin, recipe="" if is_gguf else recipe))
    return tuple(entries), "" if entries else f"there is no model in {said}"
