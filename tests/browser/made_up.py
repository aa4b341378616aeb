"""A report such as a real project would have: eight targets of two models, forty steps."""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import partial
from typing import Any

MIB = 1 << 20
SCRIPT = "</script><img src=x onerror=alert(1)><b>&amp;"

# name, tool, MiB, KL, top-1, tokens per second, status of its steps
TARGETS = (
    ("stdlib-llama", "mlx-bf16", "mlx", 15300, 0.0, 1.0, 21.0, "cached"),
    ("stdlib-llama", "mlx-8bit", "mlx", 8140, 0.00041, 0.995, 38.2, "cached"),
    ("stdlib-llama", "gguf-q8_0", "llama-cpp", 8150, 0.00042, 0.994, 36.9, "cached"),
    ("stdlib-llama", "gguf-q6_k", "llama-cpp", 6290, 0.0019, 0.985, 44.0, "built"),
    ("stdlib-llama", "mlx-mixed-4-6", "mlx", 4880, 0.021, 0.951, 57.3, "built"),
    ("stdlib-llama", "mlx-4bit", "mlx", 4310, 0.048, 0.921, 64.8, "built"),
    ("stdlib-llama", "gguf-q4_k_m", "llama-cpp", 4690, 0.029, 0.943, 55.1, "bad"),
    ("docstrings", "mlx-8bit", "mlx", None, None, None, None, "failed"),
)


def made_up() -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    targets = []
    add = partial(_step, steps)
    text = add("evaluation/fetch", "fetch", [], (0.4, 3), "cached")
    chain = add("llama.cpp/fetch", "fetch", [], (2.1, 31), "cached")
    adapter = add("docstrings/adapter/fetch", "fetch", [], (0.2, 9), "cached")
    heads: dict[str, tuple[str, str]] = {}
    for model in ("stdlib-llama", "docstrings"):
        fetch = add(f"{model}/fetch", "fetch", [], (312.0, 15300), "cached")
        detect = add(f"{model}/detect", "detect", [("model", fetch)], (0.1, 1), "cached")
        heads[model] = fetch, detect
    inputs = [("model", fetch), ("adapter", adapter), ("facts", detect)]
    merged = add("docstrings/merge", "convert lora", inputs, (95.0, 15300), "built")
    for model, name, tool, size, kl, top1, speed, status in TARGETS:
        label, works = f"{model}:{name}", "cached" if status == "bad" else status
        after, small = "skipped" if works == "failed" else works, size or 4000
        fetch, detect = heads[model]
        source = merged if model == "docstrings" else fetch
        inputs = [("model", source), ("facts", detect)]
        if tool == "llama-cpp":
            inputs.append(("toolchain", chain))
        last = add(f"{label}/convert", f"convert {tool}", inputs, (61.5, 15300), works)
        if name != "mlx-bf16":
            inputs = [("model", last)]
            last = add(f"{label}/quantize", f"quantize {tool}", inputs, (48.0, small), after)
        if "mixed" in name or "k_m" in name:
            inputs = [("model", last), ("source", fetch)]
            last = add(f"{label}/pack", f"quantize {tool}", inputs, (4.0, small), after)
        inputs = [("model", last), ("source", source), ("text", text)]
        checks = [
            add(f"{label}/{what}", f"validate {tool}", inputs, (seconds, 1), after)
            for what, seconds in (("logits", 190.0), ("speed", 31.0))
        ]
        measures = {"kl": kl, "kl_p99": kl and kl * 14, "top1": top1, "tokens_per_second": speed,
                    "ppl_ratio": 1 + kl, "memory_bytes": size * MIB * 1.1} if size else {}  # fmt: skip
        for step in steps:
            if step["label"].startswith((label + "/", model + "/")):
                step["targets"].append(label)
        targets.append({
            "target": label, "model": model, "name": name, "recipe": name, "settings": {}, "note": "",
            "tried": {}, "format": tool,
            "state": {"failed": "not-built", "bad": "bad"}.get(status, "fresh"),
            "problems": ["its KL of 0.029 is over the limit of 0.025"] if status == "bad" else [],
            "size": size and size * MIB, "weights": size and size * MIB, "digest": size and _sum(label), "files": 9,
            "path": f"/home/someone/.cortex/{tool}_models/{model}--{name}",
            "measures": {k: v for k, v in measures.items() if v is not None}, "measured": {},
            "limits": {"max_kl": 0.025} if status == "bad" else {},
            "budget": 5000 * MIB if "4" in name else None, "seconds": 330.5, "step": last,
            "checks": checks, "licences": ["apache-2.0"], "bit_exact": tool == "mlx",
        })  # fmt: skip
    models = [
        {"model": model, "source": f"hf:some-lab/{model}-8b@main", "adapters": [], "licence": "apache-2.0",
         "parameters": 8_030_000_000, "facts": {}, "size": 15300 * MIB, "frontier": [],
         "targets": [row["target"] for row in targets if row["model"] == model]}
        for model in ("stdlib-llama", "docstrings")
    ]  # fmt: skip
    models[0]["frontier"] = [{"bytes": b * MIB, "kl": k} for b, k in
                             ((4100, 0.05), (4600, 0.021), (5300, 0.009), (6200, 0.0017), (7900, 0.0004))]  # fmt: skip
    sources = [
        {"origin": f"hf:some-lab/{model}-8b@main", "commit": _sum(model)[:40], "digest": _sum(model),
         "size": 15300 * MIB, "licence": SCRIPT if model == "docstrings" else "apache-2.0",
         "base_model": None, "facts": {}, "targets": [], "here": True,
         "files": [{"path": f"model-0000{n}.safetensors", "digest": _sum(model + str(n)), "size": 3800 * MIB}
                   for n in range(4)]}
        for model in ("stdlib-llama", "docstrings")
    ]  # fmt: skip
    return {
        "schema": "cortexbuild/report/1", "project": "team-models", "at": "2026-11-23T09:30:00+00:00",
        "cortexbuild": "0.1.0",
        "summary": {"targets": dict(Counter(t["state"] for t in targets)),
                    "steps": dict(Counter(s["status"] for s in steps))},
        "last_run": {"at": "2026-11-23T09:12:00.123+00:00", "steps": {"built": 9, "failed": 1}},
        "models": models, "targets": targets, "steps": steps, "sources": sources,
        "bytes": {"total": 171_000 * MIB, "targets": 51_000 * MIB, "sources": 31_000 * MIB,
                  "intermediates": 80_000 * MIB, "others": 9_000 * MIB},
    }  # fmt: skip


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _step(
    steps: list[dict[str, Any]], label: str, what: str,
    inputs: list[tuple[str, str]], cost: tuple[float, int], status: str,
) -> str:  # fmt: skip
    """`what` is a kind, and its tool if that has another name; the cost is in seconds and MiB."""
    kind, tool = what.split()[0], what.split()[-1]
    seconds, size = cost[0], cost[1] * MIB
    fresh = status in ("cached", "built")
    failure = {"message": "ToolError: not enough memory for layers.31", "hint": "close other programs",
               "log": "/home/someone/.cortex/build/v1/runs/x/y.log", "code": 1}  # fmt: skip
    reason = {"code": "never-built", "text": "was never made", "where": None, "input": None,
              "upstream": None, "certain": True}  # fmt: skip
    steps.append({
        "id": _sum(label), "label": label, "kind": kind,
        "tool": {"name": tool, "revision": 3, "engine": {} if kind in ("fetch", "detect") else {tool: "0.32.4"}},
        "params": {"bits": 4, "group_size": 64, "note": SCRIPT} if kind == "quantize" else {},
        "determinism": "bit-exact", "targets": [],
        "inputs": [{"role": r, "step": i, "reads": [] if r == "facts" else ["*"]} for r, i in inputs],
        "state": "fresh" if fresh else "will-run" if status == "failed" else "may-run", "status": status,
        "reasons": [] if fresh else [reason], "failure": failure if status == "failed" else None,
        "failed_at": "2026-11-23T09:12:00.123+00:00" if status == "failed" else "",
        "key": _sum("key" + label) if fresh else None, "output": _sum("out" + label) if fresh else None,
        "size": size, "size_known": fresh, "here": fresh, "seconds": seconds if fresh else None,
        "made_at": "2026-11-23T09:10:00Z" if fresh else "", "platform": "macosx-14.0-arm64" if fresh else "",
    })  # fmt: skip
    return _sum(label)
