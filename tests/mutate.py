"""Break the code on purpose, one small change at a time, and see that a test notices.

`make mutate` runs all; `python tests/mutate.py WORD` those whose name has the word. Every bug
that was found is here as a sabotage. A change that no longer applies is an error, too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PARTS = (
    "cortexbuild",
    "recipes",
    "tests",
    "docs",
    "examples",
    "pyproject.toml",
    "cortex.yaml",
    "README.md",
)


@dataclass(frozen=True)
class Sabotage:
    name: str
    file: str
    old: str
    new: str
    tests: str


def core(name, file, old, new, tests="tests/core"):
    return Sabotage(name, f"cortexbuild/core/{file}.py", old, new, tests)


def store(name, file, old, new, tests="tests/store"):
    return Sabotage(name, f"cortexbuild/store/{file}.py", old, new, tests)


def remote(name, file, old, new, tests):
    return Sabotage(name, f"cortexbuild/remotes/{file}.py", old, new, tests)


SABOTAGES = (
    core("the tool's version is left out of the key", "step", '"engine": dict(self.engine)}', '"engine": {}}'),
    core("the settings are left out of the key", "step", '"params": dict(self.params),', '"params": {},'),
    core("roles are left out of the key", "step", "            role: dict(trees[role].project(item.reads))\n            for role, item in self.inputs.items()", '            "x" + str(n): dict(trees[role].project(item.reads))\n            for n, (role, item) in enumerate(self.inputs.items())'),
    core("the label is put into the key", "step", '"params": dict(self.params),', '"params": dict(self.params), "label": self.label,'),
    core("a tool is not asked about the source", "resolve", "            tool.check(facts)", "            pass", "tests/cli"),
    core("more memory is taken than there is", "needs", "needs.memory <= self.memory\n            and", "True\n            and", "tests/core/test_schedule.py"),
    core("what nothing has room for is started", "schedule", "if needs.memory <= capacity.memory:", "if True:", "tests/core/test_schedule.py"),
    core("the shortest way goes first", "queues", "key=ways.__getitem__, reverse=True", "key=ways.__getitem__", "tests/core/test_schedule.py"),
    core("small steps starve a large one", "queues", "if step.passed >= MOST_PASSED]", "if False]", "tests/core/test_schedule.py"),
    core("what fits waits for what does not", "queues", "(place := memory.first(left.memory)) is not None", "(place := memory.first(self._whole.memory)) is not None\n            and left.can_take(self._at[place].needs, self._whole)", "tests/core/test_schedule.py"),
    core("all that wait for one thing keep room free", "queues", "        due = [step for step in self._firsts() if", "        due = [step for step in self._at.values() if", "tests/core/test_queues.py"),
    core("what was passed keeps no room free", "queues", "            left = left.without(step.needs)\n        while", "        while", "tests/core/test_queues.py"),
    core("a turn looks at all that waits", "queues", "        chosen: list[Waiting] = []\n", "        chosen: list[Waiting] = []\n        min(self._at.values(), key=lambda step: step.passed, default=None)\n", "tests/core/test_queues.py"),
    core("what is not ready any more starts", "agenda", "            self._gone.add(id_)", "            pass", "tests/core/test_agenda_pull.py"),
    core("a longer row forgets what was in it", "minima", "[inf, least[1]], 1", "[inf, inf], 1", "tests/core/test_queues.py"),
    core("what a step needs that ended stays taken", "schedule", "        self._left = self._left.with_back(ended, self._schedule.capacity)", "        pass", "tests/core/test_schedule.py"),
    core("the longest ways are looked for at every step", "schedule", "        if self._queues is None:\n            if len", "        if True:\n            if len", "tests/core/test_schedule.py"),
    core("a forecast keeps what goes", "forecast", "if not readers[before] and before in passing:", "if False:", "tests/core/test_schedule.py"),
    core("bytes go that a step still reads", "agenda", "needed |= {item.step for item in inputs if item.reads}", "pass", "tests/core/test_intermediates_property.py"),
    core("what a build is for goes", "agenda", "needed = set(self._ends)", "needed: set[StepId] = set()", "tests/app/test_intermediates.py"),
    core("what is gone is believed to be there", "agenda", "if id_ not in self._lost and not self._has(id_, trace.tree):", "if False:", "tests/core/test_intermediates_property.py"),
    Sabotage("a file goes that a target has too", "cortexbuild/app/intermediates.py", " - _files(agendas, self.plan.steps.keys() - over)", "", "tests/core/test_intermediates_property.py"),
    Sabotage("nothing goes", "cortexbuild/app/intermediates.py", "if files := files - self._kept:", "if files := set():", "tests/core/test_intermediates_property.py"),
    Sabotage("what another way needs goes", "cortexbuild/app/intermediates.py", "needed = set(self.later).union", "needed = set().union", "tests/core/test_intermediates_property.py"),
    Sabotage("what another project was made from goes", "cortexbuild/cli/dropping.py", "if trace.key in kept or", "if", "tests/app/test_intermediates.py"),
    Sabotage("what another project has as a target goes", "cortexbuild/cli/dropping.py", "kept |= {file for file in files if _has_other_names(store, file)}", "kept = set()", "tests/app/test_intermediates.py"),
    Sabotage("bytes go beside another command", "cortexbuild/cli/dropping.py", "if not alone:", "if False:", "tests/app/test_intermediates.py"),
    store("one is alone with another", "storelock", "alone = len(holders(root)) == 1", "alone = True", "tests/app/test_intermediates.py"),
    Sabotage("a build that cannot fit begins", "cortexbuild/app/estimates.py", "            too_large[id_] = failure", "            pass", "tests/app/test_needs.py"),
    Sabotage("a target that cannot be built is built in part", "cortexbuild/app/course.py", "if barred.isdisjoint(chain(name))", "if True", "tests/app/test_needs.py"),
    Sabotage("a container's limit is not looked at", "cortexbuild/cli/machine.py", "for above in (group, *group.parents):", "for above in (group,):", "tests/cli/test_machine.py"),
    Sabotage("the child that was used last goes", "cortexbuild/exec/pool.py", "_end(self.idle.pop(0))", "_end(self.idle.pop())", "tests/exec"),
    core("each target looks at the whole plan", "plan", "return tuple(sorted(found, key=self._places.__getitem__))", "return tuple(step for step in self.steps if step in found)"),
    store("a file that was left is believed without a look", "unfinished", "if path.is_file() and sums_of(path) == sums:", "if path.is_file():", "tests/store/test_unfinished.py"),
    store("what was left is part of a run that is to be anew", "unfinished", "        if anew:", "        if False:", "tests/store/test_unfinished.py"),
    store("a record's wrong size condemns the file", "looking", "return sums.sha256 == look.file.digest, sums.xxh3", "return sums.sha256 == look.file.digest and look.has_size, sums.xxh3", "tests/store/test_local.py"),
    store("half a file is finished", "unfinished", "        finally:\n            draft.unlink(missing_ok=True)\n        sums = hashed.sums()\n        disk.replace_text(self._folder / f\"{name}{NOTE}\", json.dumps(sums._asdict()))\n        self._made[name] = sums", "        finally:\n            draft.exists() and draft.rename(path)\n            sums = hashed.sums()\n            disk.replace_text(self._folder / f\"{name}{NOTE}\", json.dumps(sums._asdict()))\n            self._made[name] = sums", "tests/store/test_unfinished.py"),
    Sabotage("a tensor is written before its turn", "cortexbuild/formats/safetensors_stream.py", "if self._turn is not None and self._turn[0] is tensor:", "if self._turn is not None:", "tests/formats/test_safetensors_stream.py"),
    Sabotage("a file that was finished is written again", "cortexbuild/formats/safetensors_stream.py", "if not output.has(shard.name)]", "]", "tests/formats/test_safetensors_stream.py"),
    Sabotage("a matrix and its scales are in two files", "cortexbuild/formats/safetensors_shards.py", 'groupby(entries, lambda entry: entry[0].rpartition(".")[0])', "groupby(entries)", "tests/formats/test_safetensors_stream.py"),
    core("limits are not looked at", "judge", "(*_broken(measures), *_beyond(measures, limits))", "_broken(measures)"),
    core("a limit of what was not measured is kept", "judge", "if not isinstance(found, int | float) or not math.isfinite(found):", "if found is None: continue\n        if not math.isfinite(found):"),
    core("a NaN in a weight is good enough", "judge", 'if count := measures.get("nonfinite_weights"):', "if count := 0:"),
    core("limits for all are lost where a target has its own", "limits", "return others.model_copy(update=self.model_dump(exclude_none=True))", "return self"),
    core("other limits keep an old end of a ladder", "planner", "[ways, goals[0].limits.plain()]", "[ways, {}]", "tests/app/test_limits.py"),
    core("the lock's end of a ladder is not looked at", "planner", "(known.ladder, known.recipe) == (ladder, goal.recipe)", "False", "tests/app/test_limits.py"),
    core("the reference is what was merged", "sides", "if ADAPTERS in tool.wants:", "if False:"),
    core("the reference goes by its own number of tokens", "walk", "if name in tool.params.model_fields}", "if name in ()}"),
    Sabotage("the divergence is the other way round", "cortexbuild/quality/divergence.py", "(chances * (before - beside)).sum(-1)", "(np.exp(beside) * (beside - before)).sum(-1)", "tests/quality"),
    Sabotage("what was not kept of a vocabulary counts for nothing", "cortexbuild/quality/divergence.py", "found += rest * np.log(rest / other)", "pass", "tests/quality"),
    Sabotage("agreement is with the text", "cortexbuild/quality/divergence.py", "wide.argmax(-1) == source.best", "wide.argmax(-1) == np.asarray(following)", "tests/quality"),
    Sabotage("scales of packed weights are not looked at", "cortexbuild/formats/nonfinite.py", "for at in SCALES.get(tensor.type, ()):", "for at in ():", "tests/formats/test_nonfinite.py"),
    core("a budget is left out of the settings", "candidates", "settings = {**target.fit.model_dump(exclude_none=True), **target.set}", "settings = dict(target.set)"),
    Sabotage("an allocation may be over its budget", "cortexbuild/quality/allocation.py", "return grown[np.flatnonzero(grown.sizes <= room)]", "return grown", "tests/quality/test_allocation.py"),
    Sabotage("the greedy choice is taken for the best", "cortexbuild/quality/allocation.py", "return _search(layers, budget, slope, found, most_states) if found.gap > 0 else found", "return known", "tests/quality/test_allocation.py"),
    Sabotage("a KV cache takes no memory", "cortexbuild/formats/fitting.py", "left = params.memory - cache - OVERHEAD_BYTES", "left = params.memory - OVERHEAD_BYTES", "tests/formats/test_fitting.py"),
    Sabotage("a failure that a ladder left behind is forgotten", "cortexbuild/app/sync.py", "            climb.up(wrong)", "            failed = {}\n            climb.up(wrong)", "tests/app/test_limits.py"),
    Sabotage("a lock that was written meanwhile is overwritten", "cortexbuild/cli/syncing.py", "read_lock(project.root) or project.lock", "project.lock", "tests/app/test_limits.py"),
    Sabotage("provenance is not written again when a view moves", "cortexbuild/app/sync.py", "old = moved or agenda", "old = agenda", "tests/app/test_limits.py"),
    core("the salt is left out of the key", "step", '"inputs": read, "salt": salt}', '"inputs": read, "salt": ""}'),
    core("a projection has every file", "digest", "if any(fnmatchcase(file.path, pattern) for pattern in reads)", "if reads"),
    core("a step may see files that are not in its key", "agenda", "tree.select(step.inputs[role].reads)", "tree", "tests/app/test_sync.py"),
    core("canonical form depends on the order of keys", "digest", "sort_keys=True, ", ""),
    core("keys that are not text are taken", "digest", "if not isinstance(key, str):", "if False:"),
    core("paths may leave a tree", "digest", '"..") for part in parts):', '"..") for part in ()):'),
    core("a hit without its bytes counts as done", "agenda", "if self._wanted[id_] and not here:", "if False:"),
    core("inputs of a hit are fetched", "agenda", "[(item, False) for item in unknown]", "[(item, True) for item in unknown]"),
    core("a gate does not hold", "agenda", "if not (self._done.get(item.step) if item.reads else item.step in self._done)", "if item.reads and not self._done.get(item.step)"),
    core("a failed step counts as done", "agenda", "        self._failed.add(id_)", "        self._failed.add(id_)\n        self._done[id_] = True"),
    core("a changed output does not wake what stands on it", "agenda", "        self._done[id_] = here\n        self._wake(id_)\n\n    def _look_again", "        self._done[id_] = here\n\n    def _look_again"),
    core("unknown keys are dropped", "document", 'extra="forbid"', 'extra="ignore"', "tests/cli"),
    core("a setting that no step has is ignored", "resolve", "        if setting not in known:", "        if False:", "tests/cli"),
    core("core reads the environment", "plan", "from fnmatch import fnmatchcase", "import os  # noqa\nfrom fnmatch import fnmatchcase", "tests/arch"),
    core("a NaN is good enough", "judge", 'if count := measures.get("nonfinite_logits"):', "if count := 0:"),
    core("a wrong first token is overlooked", "judge", "(first := tokenizer.get(\"first_difference\")) is not None", "(first := tokenizer.get(\"first_difference\"))"),
    core("8-bit floats count as quantized", "bridges", 'in ("mxfp4", "compressed-tensors")', 'in ("fp8", "mxfp4", "compressed-tensors")', "tests/core/test_routes.py"),
    Sabotage("what was written of a mapped source stays in memory", "cortexbuild/formats/safetensors_stream.py", "            let_go()  #", "            pass  #", "tests/formats/test_mapping.py"),
    core("what is quantized is quantized again", "routes", "if is_quantized(format_) and quantizing:", "if False:", "tests/core/test_routes.py"),
    core("a lossless edge is not taken", "routes", "if not fnmatchcase(format_, edge.source):", "if True:", "tests/core/test_routes.py"),
    core("a lossless edge is taken past an adapter", "routes", "if not merge and (kept", "if (kept", "tests/core/test_routes.py"),
    core("a bad INT4 model has nothing to fall back to", "candidates", 'choice.rule == "int4"', 'choice.rule == "never"', "tests/app/test_fallback.py"),
    Sabotage("the lock moves by itself", "cortexbuild/app/relock.py", "had = None if pins.upgrade_tools else known.tools.get(name)", "had = None", "tests/app/test_lock.py"),
    Sabotage("any version of a tool may make what a key names", "cortexbuild/exec/worker.py", "    check_versions(step.tool, tool)\n", "", "tests/app/test_lock.py"),
    Sabotage("what was recorded is not compared", "cortexbuild/app/record.py", "recorded.tree == trace.tree.digest", "True", "tests/app/test_lock.py"),
    Sabotage("a lock that is out of date is used with --locked", "cortexbuild/cli/commands/lock.py", "    if found:\n        lines", "    if False:\n        lines", "tests/app/test_lock.py"),
    Sabotage("a partial download begins again", "cortexbuild/sources/_download.py", "have = stream.seek(0, 2)", "have = stream.truncate(0)", "tests/app/test_hub.py"),
    Sabotage("a broken xet storage is waited for as long as hf_xet likes", "cortexbuild/sources/hf/xet.py", "            os.environ.setdefault(name, value)", "            pass", "tests/sources/test_xet.py"),
    Sabotage("a broken xet storage is asked for each file", "cortexbuild/sources/hf/xet.py", "            self._failed = True", "            pass", "tests/sources/test_xet.py"),
    Sabotage("what xet brought before it failed is built upon", "cortexbuild/sources/hf/xet.py", '            part.write_bytes(b"")', "            pass", "tests/sources/test_xet.py"),
    Sabotage("what comes by xet is told of only at its end", "cortexbuild/sources/hf/xet.py", "ended.wait(LOOK)", "ended.wait()", "tests/sources/test_xet.py"),
    Sabotage("hf_xet's own variables do not reach it", "cortexbuild/exec/pool.py", ', "HF_XET_")', ")", "tests/app/test_hub.py"),
    Sabotage("offline asks all the same", "cortexbuild/sources/hf/__init__.py", "if missing and is_offline(OFFLINE):", "if False:", "tests/app/test_hub.py"),
    Sabotage("a branch is fetched, not the commit", "cortexbuild/sources/hf/__init__.py", "address(asked, pinned.commit, file.path)", "address(asked, asked.revision, file.path)", "tests/app/test_hub.py"),
    Sabotage("a rebuild compares with itself", "cortexbuild/cli/rebuilding.py", 'second = LocalStore(folder / "store")', "second = LocalStore(store.root)", "tests/app/test_provenance.py"),
    Sabotage("a seal looks at no ctime", "cortexbuild/cli/seal.py", "{stat.st_mtime_ns},{stat.st_ctime_ns},", "{stat.st_mtime_ns},", "tests/cli/test_seal.py"),
    Sabotage("a damaged seal is believed", "cortexbuild/cli/seal.py", "return text if claimed == digest(text) else None", "return text", "tests/cli/test_seal.py"),
    Sabotage("a seal of other circumstances is believed", "cortexbuild/cli/seal.py", "if under != circumstances() or not", "if not", "tests/cli/test_seal.py"),
    Sabotage("a seal holds while bytes are taken away", "cortexbuild/cli/seal.py", "fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)", "pass", "tests/cli/test_seal.py"),
    Sabotage("what changed a moment ago is sealed", "cortexbuild/cli/sealing.py", ">= began - AT_REST", ">= began", "tests/cli/test_seal.py"),
    Sabotage("a sync of one target is sealed as that of all", "cortexbuild/cli/commands/sync.py", "if idle and whole and", "if idle and", "tests/cli/test_seal.py"),
    Sabotage("records may go from under a seal", "cortexbuild/cli/sealing.py", "    yield from map(store.trace_path, outcome.keys.values())\n", "", "tests/cli/test_seal.py"),
    Sabotage("a sealed sync imports all of us", "cortexbuild/cli/main.py", "from .seal import quickly, seal_for", "from .parser import parse as _\nfrom .seal import quickly, seal_for", "tests/cli/test_seal.py"),
    Sabotage("a view of another project is pruned", "cortexbuild/cli/prune.py", "return sorted(old - views_of_others(store.root, project.root))", "return sorted(old)", "tests/app/test_converge.py"),
    Sabotage("licences are not looked at", "cortexbuild/core/planner.py", "    check_licences(manifest, lock)\n", "", "tests/app/test_converge.py"),
    core("a GGUF in 16 bits counts as quantized", "bridges", '"F16", "FP16", "BF16"', '"BF16"'),
    core("two steps have one name", "draft", "        for tell in ways:", "        for tell in ():", "tests/core/test_plan.py"),
    core("adapters are merged without their weights", "walk", "plain_number(adapter.weight)", "plain_number(1)", "tests/core/test_plan.py"),
    core("a name beats measured parameters", "policy", "_by_size(parameters) if parameters is not None else _by_name(name)", "_by_name(name)", "tests/core"),
    core("what follows from an old output is kept when it comes out differently", "agenda", "if before is not None and before != trace.tree:", "if False:", "tests/core/test_agenda_pull.py"),
    core("what was started with an old input counts as done", "agenda", "                    self._outdated.add(other)", "                    pass", "tests/core/test_agenda_pull.py"),
    core("what could not be pulled is not built", "agenda", "        self._unpulled.add(id_)\n", "        self._unpulled.add(id_); return\n", "tests/core/test_agenda_pull.py"),
    core("a tree may have a file where it has a folder", "digest", "if other := folded.get(_folded(path[:end])):", "if other := None:", "tests/remotes/test_weigh.py"),
    core("paths may have control characters", "digest", "if not path.isprintable() or", "if", "tests/remotes/test_weigh.py"),
    remote("what is told of the making is not signed", "signing", '        "made": dict(trace.made),\n', "", "tests/remotes/test_weigh.py"),
    remote("the tree is not signed", "signing", '        "tree": trace.tree.digest,\n', "", "tests/remotes/test_weigh.py"),
    remote("a record of another key is believed from a remote", "tiers", "if trace.key != key:", "if False:", "tests/remotes/test_weigh.py"),
    remote("a record that nobody signed is believed", "tiers", "if unsigned or is_signed(trace, trusted):", "if unsigned or is_signed(trace, trusted) or not trace.signatures:", "tests/remotes/test_weigh.py"),
    store("the key of a record need not be that of its ingredients", "traces", "if key_of(ingredients) != key:", "if False:", "tests/remotes/test_weigh.py"),
    store("a record nested without end is a crash", "traces", "    except RecursionError as error:\n", "    except ZeroDivisionError as error:\n", "tests/remotes/test_weigh.py"),
    store("a folder that is being made is swept", "scratch", '    draft = folder / f"{HELD}.new"', "    draft = folder / HELD"),
    remote("a content of another size is taken for the right one", "tiers", "if size == left[name]:", "if True:", "tests/app/test_shared.py"),
    remote("what a remote brings is not compared with its name", "receive", "if sums is None or (sums.sha256, sums.size) == (file.digest, file.size):", "if True:", "tests/app/test_shared.py"),
    remote("a key signs what strangers made", "send", "if trace.signatures or sender.key is None:", "if sender.key is None:", "tests/remotes/test_send.py"),
    remote("a root that became young meanwhile is not seen", "collect", "return set(persist(lambda: list(remote.entries(\"roots\"))))", "return {RemoteObject(o.name, 0, 0.0) for o in remote.entries(\"roots\")}", "tests/remotes/test_collect.py"),
    store("a part that was moved away is collected into", "delivery", "if os.fstat(handle).st_ino == path.stat().st_ino:", "if True:"),
    store("a record may have text that cannot be shown", "traces", "if not all(text.isprintable() for", "if not all(True for", "tests/remotes/test_weigh.py"),
    remote("more may come than there should be", "transfer", "if have + len(piece) > file.size:", "if False:", "tests/remotes/test_transfer.py"),
    remote("tries are counted although something comes", "transfer", "if come() > before:", "if False:", "tests/remotes/test_transfer.py"),
    Sabotage("a remote that is away stops a push to the others", "cortexbuild/cli/sharing.py", "                told.append(Pushed(sender.address.name, None, error))", "                raise", "tests/app/test_shared.py"),
    remote("a drop begins again at the start", "transfer", 'pieces = remote.read("cas", file.digest, have)', 'pieces = remote.read("cas", file.digest, 0)', "tests/remotes/test_transfer.py"),
    remote("records go before their contents", "send", "    sent = send_contents(sender, list(files.values()), moved)\n    sent.rooted = rooted\n    for trace, whole in parcels:\n        _send_record(sender, trace, whole, scratch, sent)\n", "    sent = Sent()\n    for trace, whole in parcels:\n        _send_record(sender, trace, whole, scratch, sent)\n    send_contents(sender, list(files.values()), moved)\n", "tests/remotes/test_killed.py"),
    remote("what was found wrong is not sent again", "send", "== file.size and not wrong", "== file.size", "tests/remotes/test_collect.py"),
    remote("a damaged content is sent", "send", "    sender.store.check_blobs(missing)", "    #", "tests/remotes/test_send.py"),
    remote("old contents go though a young push was about them", "collect", "keys = {key for root in roots if root.modified >= before for key in _keys(remote, root)}", "keys = set()", "tests/remotes/test_collect.py"),
    remote("a push that begins meanwhile is not seen", "collect", "while _roots(remote) != named:", "while False:", "tests/remotes/test_collect.py"),
    remote("a bundle may have what no record names", "bundle", "if expected is None or expected.size != size:", "if expected is not None and expected.size != size:", "tests/remotes/test_bundle.py"),
    remote("a bundle that was cut short is taken", "bundle", "if (len(arrived.traces), arrived.contents) != head:", "if False:", "tests/remotes/test_bundle.py"),
    remote("a header of a tar may claim anything", "archive", "if not 0 <= size <= 2 * CHUNK:", "if size < 0:", "tests/remotes/test_bundle.py"),
    remote("a key that others can read signs", "keys", "if stat.S_IMODE(mode) & 0o077:", "if False:", "tests/remotes/test_keys.py"),
    remote("one name may stand for two keys", "keys", "if found.setdefault(name, raw) != raw:", "if found.setdefault(name, raw) is None:", "tests/remotes/test_keys.py"),
    remote("a folder's content gets its name before it is whole", "folder", "            draft = self._root / DRAFTS / f\"{name}.{uuid.uuid4().hex}\"\n", "            path.unlink(missing_ok=True); draft = path\n", "tests/remotes"),
    remote("a folder that is not mounted is made", "folder", "            self._check_root()  # nothing is written into a mount point without its mount\n", "            self._root.mkdir(parents=True, exist_ok=True)\n", "tests/remotes/test_send.py"),
    remote("a server without ranges gives what was had already", "http", "0 if answer.status == 206 else start", "0", "tests/remotes/test_http.py"),
    remote("a range is left out", "ranges", "range(start, size, RANGE)", "range(start, size, RANGE + 1)", "tests/remotes/test_ranges.py"),
    core("after an error more is asked", "ahead", "islice(left, at_once + waiting)", "left", "tests/remotes/test_ranges.py"),
    remote("a bucket that is not there is an empty one", "objects", "            if self._is_there:\n                return\n", "            return\n", "tests/remotes/test_objects.py"),
    remote("of two records in a bucket the last one stays", "objects", 'mode="create" if only_new else "overwrite"', 'mode="overwrite"', "tests/remotes/test_contract.py"),
    Sabotage("steps look for modules in the project's folder", "cortexbuild/exec/pool.py", '"-P", "-m"', '"-m"', "tests/app/test_shared.py"),
    Sabotage("app imports the store", "cortexbuild/app/sync.py", "from .climb import Climb", "from ..store.local import LocalStore  # noqa\nfrom .climb import Climb", "tests/arch"),
    Sabotage("a tool imports an engine at its top", "cortexbuild/tools/mlx.py", "import json\n", "import json\nimport mlx.core  # noqa\n", "tests/arch"),
    Sabotage("new steps start after a failure", "cortexbuild/app/build.py", "if after.failure == \"go-on\" or not stopping:", "if True:", "tests/app/test_sync.py"),
    Sabotage("nothing starts while a cluster is starting", "cortexbuild/app/build.py", "max(executor.free(), 0 if running else 1)", "executor.free()", "tests/core/test_agenda_property.py"),
    Sabotage("a view is swapped though the model was judged bad", "cortexbuild/app/sync.py", "moved = not wrong and not project", "moved = not project", "tests/app/test_sync.py"),
    Sabotage("a name that is not ours is taken", "cortexbuild/store/views.py", "if os.path.lexists(path) and self.shows(target, format_) is None:", "if False:", "tests/app/test_sync.py"),
    Sabotage("what is handed out is not checked", "cortexbuild/app/generate.py", "    _check(project, built)\n", "", "tests/app/test_sync.py"),
    store("a flipped byte with its mtime kept goes unseen", "looking", "{stat.st_mtime_ns},{stat.st_ctime_ns},{stat.st_ino}", "{stat.st_mtime_ns}"),
    store("an input that was touched is not read before a step sees it", "blobs", "if read or not look.untouched:", "if read:"),
    store("an input that was right once is shown to a step", "blobs", "self._refuse(self._wrong(tree.files), hint)", "self._refuse(None if self.has_tree(tree) else tree.files[0], hint)"),
    store("what goes to others is not read before", "blobs", "self._refuse(self._wrong(files, read=True), hint)", "self._refuse(self._wrong(files), hint)"),
    store("a chunk is written over while it is hashed", "hashing", "_chunks(path, CHUNK, CHUNK)", "_chunks(path, CHUNK)"),
    store("an output that is still written to is taken", "ingest", "if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):", "if False:"),
    store("files are read one after the other", "together", "min(len(items), max(2, os.cpu_count() or 1))", "1"),
    store("a damaged file stays in its views", "blobs", "                    placed.unlink()", "                    pass"),
    store("files stay writable", "blobs", "        path.chmod(0o444)\n        if not", "        if not"),
    store("a later record replaces the first", "disk", "        link(draft, path)\n    except", "        draft.replace(path)\n    except"),
    store("a record whose bytes are lost is kept", "local", "if first is not None and (written or self.has_tree(first.tree)):", "if first is not None:"),
    store("a record of another key is believed", "local", "if found.key != key:", "if False:"),
    store("stats are remembered before the last change to a file", "blobs", "            path.unlink(missing_ok=True)  # first: it changes the ctime of what we remember\n            self.index.keep_blob(sums.sha256, stat_of(dest), sums.xxh3)\n", "            self.index.keep_blob(sums.sha256, stat_of(dest), sums.xxh3)\n"),
    core("what may not go goes", "eviction", "rank = item.rank if id(item) in chosen else Rank.TARGET", "rank = item.rank", "tests/store/test_eviction.py"),
    core("an only copy goes unasked", "eviction", "most = Rank.ONLY_COPY if only_copies else Rank.SOURCE", "most = Rank.ONLY_COPY", "tests/store/test_eviction.py"),
    core("more goes than was asked for", "eviction", "        if left <= keep:\n            break\n", "", "tests/store/test_eviction.py"),
    core("what is dear to make goes first", "eviction", "item.seconds / max(frees, 1)", "-item.seconds / max(frees, 1)", "tests/store/test_eviction.py"),
    Sabotage("a view counts for nothing", "cortexbuild/app/inventory.py", "return frozenset(showing).union(", "return frozenset().union(", "tests/store/test_eviction.py"),
    Sabotage("what was written a moment ago goes", "cortexbuild/app/inventory.py", "Rank.NEW if file.changed > seen.now - HOUR else Rank.UNUSED", "Rank.UNUSED", "tests/store/test_eviction.py"),
    Sabotage("a source is there if its size is", "cortexbuild/sources/path.py", " or looks.sum_of(path) != (file.digest, file.size)", "", "tests/app/test_gc.py"),
    Sabotage("records that a target stands on go", "cortexbuild/cli/collecting.py", "        and trace.key not in needed\n", "", "tests/app/test_gc.py"),
    Sabotage("the views of an expired project stay", "cortexbuild/cli/collecting.py", "            views.remove(name)", "            pass", "tests/app/test_gc.py"),
    Sabotage("a sync does not say that it uses the store", "cortexbuild/cli/syncing.py", 'with store_lock(store.root, "sync", lambda text: emit(Said(text)), options.patience):', "if True:", "tests/app/test_gc.py"),
    store("bytes go beside a command that counts on them", "storelock", "fcntl.LOCK_EX if alone else fcntl.LOCK_SH", "fcntl.LOCK_SH"),
    store("what was freed is read again elsewhere", "freeing", "with store.unlinking(shown), suppress(FileNotFoundError):", "with suppress(FileNotFoundError):"),
    store("a look counts as a use", "blobs", "self.index.correct_blob(look.file.digest, look.stat, xxh3)", "self.index.keep_blob(look.file.digest, look.stat, xxh3)"),
    store("what the dead left is not swept", "scratch", "if not _is_held(folder)]", "if False]"),
    store("the scratch of the living is swept", "waiting", "    except BlockingIOError:\n        return True", "    except BlockingIOError:\n        return False"),
    store("what a source brings is not compared with its pin", "delivery", "if (sums.sha256, sums.size) != (expected.digest, expected.size):", "if False:", "tests/app/test_sync.py"),
    store("two processes build one step", "waiting", "fcntl.flock(handle, how | fcntl.LOCK_NB)", "pass", "tests/app/test_crash.py"),
    store("an unknown layout is used", "local", "    if layout != LAYOUT:", "    if False:"),
    Sabotage("workers outlive a killed sync", "cortexbuild/exec/child.py", "    _die_with_parent(int(sys.argv[2]), int(sys.argv[3]))\n", "", "tests/app/test_crash.py"),
    Sabotage("an interrupt leaves its workers", "cortexbuild/exec/pool.py", "            os.killpg(self.process.pid, signal.SIGKILL)", "            pass", "tests/app/test_crash.py"),
    Sabotage("steps have the network's variables", "cortexbuild/exec/pool.py", 'chosen |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}', "pass", "tests/exec"),
    Sabotage("an output of nothing is a success", "cortexbuild/exec/worker.py", "    if not made.files:", "    if False:", "tests/app/test_sync.py"),
    Sabotage("a duplicate key wins in silence", "cortexbuild/cli/yamlfile.py", "            if name in own:", "            if False:", "tests/cli"),
    Sabotage("aliases unfold without end", "cortexbuild/cli/yamlfile.py", "if self._parts > MOST_PARTS:", "if False:", "tests/cli"),
    Sabotage("half of a stop string is let out", "cortexbuild/runtimes/stopping.py", "keep = max((_overlap(held, stop) for stop in stops), default=0)", "keep = 0", "tests/runtimes"),
    Sabotage("the first stop to begin ends the text", "cortexbuild/runtimes/stopping.py", "_, start = min(found)", "start = min(at for _, at in found)", "tests/runtimes"),
    Sabotage("a forced step takes what is there", "cortexbuild/exec/worker.py", ' and job.again == "no"', "", "tests/app/test_scope.py"),
    Sabotage("a forced result replaces the first unasked", "cortexbuild/exec/worker.py", 'replace=job.again == "replace"', 'replace=job.again != "no"', "tests/app/test_scope.py"),
    Sabotage("what stands on a forced step is not looked at again", "cortexbuild/core/agenda.py", "        if id_ in self._forced:  # and", "        if id_ in self._forced and self._find(key, ingredients) is None:  # and", "tests/app/test_scope.py"),
    Sabotage("a cluster gives steps to other versions", "cortexbuild/exec/cluster/offer.py", "error = error or refusal(step.tool, tool.revision, tool.engine)", "error = error or None", "tests/cluster/test_placing.py"),
    Sabotage("a cluster gives steps to too little memory", "cortexbuild/exec/cluster/offer.py", "if needs.memory > offer.room.memory:", "if False:", "tests/cluster/test_placing.py"),
    Sabotage("a cluster is of several versions of cortexbuild", "cortexbuild/exec/cluster/offer.py", "if offer.cortexbuild != VERSION:", "if False:", "tests/cluster/test_placing.py"),
    Sabotage("a cluster works in a network folder", "cortexbuild/exec/cluster/crew.py", "member.shares and offer.machine != machine_id()", "False", "tests/cluster/test_placing.py"),
    Sabotage("a cluster's stores are one without a proof", "cortexbuild/exec/cluster/beacon.py", ".read_text() == content", ".exists()", "tests/cluster/test_placing.py"),
    Sabotage("a cluster runs what ends workers for ever", "cortexbuild/exec/cluster/placing.py", "if len(task.died) <= DEATHS:", "if True:", "tests/cluster/test_placing.py"),
    Sabotage("a cluster's worker that is told to end counts as dead", "cortexbuild/exec/cluster/placing.py", "if not member.leaving:", "if True:", "tests/cluster/test_placing.py"),
    Sabotage("a cluster without a worker is waited for in vain", "cortexbuild/exec/cluster/placing.py", "return now >= task.since + self.patience", "return False", "tests/cluster/test_placing.py"),
    Sabotage("a cluster's worker takes more than it has", "cortexbuild/exec/cluster/crew.py", "if not left.can_take(task.needs, member.room):", "if False:", "tests/cluster/test_placing.py"),
    Sabotage("a cluster's long jobs are told at length", "cortexbuild/exec/cluster/parcel.py", "if len(text) <= MOST_DETAILS:", "if True:", "tests/cluster/test_placing.py"),
    Sabotage("a cluster finds half a content enough", "cortexbuild/exec/cluster/reach.py", "if left[digest].size == size:", "if True:", "tests/cluster/test_placing.py"),
    Sabotage("a cluster brings all to the client", "cortexbuild/exec/cluster/carrier.py", "if self._keeps(job.id) or trace.tree.size <= SMALL:", "if True:", "tests/cluster/test_stores.py"),
    Sabotage("a cluster's workers look for what was never sent", "cortexbuild/exec/cluster/carrier.py", "if not missing:", "if True:", "tests/cluster/test_stores.py"),
    Sabotage("a cluster's workers keep what they made", "cortexbuild/exec/cluster/site.py", "if parcel.to is not None and not", "if False and not", "tests/cluster/test_stores.py"),
    Sabotage("a cluster goes on with what nobody waits for", "cortexbuild/exec/cluster/site.py", "                running.child.kill()", "                pass", "tests/cluster/test_faults.py"),
    Sabotage("a cluster is spoken to in clear", "cortexbuild/exec/cluster/security.py", 'if parts.scheme == "tcp" and not', "if False and not", "tests/cluster/test_faults.py"),
    Sabotage("a cluster's keys are for everybody", "cortexbuild/exec/cluster/security.py", 'if what == "key" and', "if False and", "tests/cluster/test_faults.py"),
    core("bytes at hand elsewhere are a target's", "agenda", "(id_ not in self._ends and self._at_hand(tree))", "self._at_hand(tree)", "tests/core/test_agenda_pull.py"),
    core("bytes at hand elsewhere are brought all the same", "agenda", "return self._is_here(tree) or (id_ not in self._ends and self._at_hand(tree))", "return self._is_here(tree)", "tests/core/test_agenda_pull.py"),
    Sabotage("an export is not read before it goes out", "cortexbuild/cli/commands/exporting.py", '    wire.store_of(project).check_blobs(files, f"run `cortexbuild sync {found.target}`")\n', "", "tests/exports/test_export.py"),
    Sabotage("an export of what is not good enough", "cortexbuild/app/export.py", "    if problems:", "    if False:", "tests/exports/test_export.py"),
    Sabotage("an export takes a folder of others", "cortexbuild/exports/placing.py", "    if foreign := _foreign(folder):", "    if foreign := None:", "tests/exports/test_export.py"),
    Sabotage("an export takes another model's place", "cortexbuild/exports/ollama.py", "path.read_bytes() != text and not how.replace", "False", "tests/exports/test_ollama.py"),
    Sabotage("an export tells where this machine has its files", "cortexbuild/app/card.py", 'return f"path:{public_name(place) or \'\'}" if scheme == "path" else origin', "return origin", "tests/exports/test_export.py"),
    Sabotage("an export to Ollama writes JSON as Python does", "cortexbuild/formats/ollama.py", 'for letter in "<>&\\u2028\\u2029":', 'for letter in "":', "tests/exports/test_ollama.py"),
    Sabotage("an export to Ollama guesses at templates", "cortexbuild/formats/turns.py", "return found if _holds(found, render) else None", "return found", "tests/exports/test_turns.py"),
    Sabotage("an export to the Hub's cache shows no commit", "cortexbuild/exports/hf_cache.py", "    give_text(commit.encode(), reference)\n", "", "tests/exports/test_export.py"),
    Sabotage("a push to the Hub is done again for nothing", "cortexbuild/exports/hub.py", "done.oid == before)", "False)", "tests/exports/test_push_to_hub.py"),
    Sabotage("an export to Ollama is hidden by a newer manifest", "cortexbuild/exports/ollama.py", "    if (shadow := _shadow(root, name)) is not None:", "    if (shadow := None) is not None:", "tests/exports/test_ollama.py"),
    Sabotage("an export that fails takes the older one away", "cortexbuild/exports/placing.py", "            old.rename(folder)\n", "            pass\n", "tests/exports/test_export.py"),
    Sabotage("a server hears what others are told", "cortexbuild/cli/serving.py", "if name not in _NOT_FOR_IT}", "if True}", "tests/cli/test_serving.py"),
    Sabotage("a server outlives its command", "cortexbuild/cli/serving.py", "        child.send_signal(signal.SIGTERM)", "        return", "tests/cli/test_serving.py"),
    Sabotage("a watch forgets what changed while it built", "cortexbuild/cli/watching.py", "        while look() == before:", "        before = look()\n        while look() == before:", "tests/cli/test_watching.py"),
    Sabotage("a watch ends with a failure", "cortexbuild/cli/commands/watching.py", "        return error.exit_code\n", "        raise\n", "tests/cli/test_watching.py"),
)  # fmt: skip


def tried(sabotage: Sabotage, folder: Path) -> bool:
    """Whether a test noticed. Runs in a copy, so that several can be tried at once."""
    copy = Path(tempfile.mkdtemp(dir=folder))
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "engines", "models")
            shutil.copytree(source, copy / part, ignore=ignore)
        else:
            shutil.copy(source, copy / part)
    broken = copy / sabotage.file
    text = broken.read_text()
    broken.write_text(text.replace(sabotage.old, sabotage.new))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", sabotage.tests],
        cwd=copy, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    print(f"{'caught' if failed else 'MISSED'}  {sabotage.name}", flush=True)
    if failed:
        print(f"        {failed[0].partition(' - ')[0].partition(' ')[2]}", flush=True)
    shutil.rmtree(copy)
    return bool(failed)


def main() -> int:
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    chosen = [one for one in SABOTAGES if word in one.name]
    for one in chosen:  # before any test runs: code that moved takes its sabotages with it
        places = (ROOT / one.file).read_text().count(one.old)
        assert places == 1, f"{one.name}: {places} places in {one.file}"
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        caught = list(pool.map(lambda one: tried(one, Path(folder)), chosen))
    print(f"{sum(caught)} of {len(chosen)} sabotages caught")
    return 0 if all(caught) and chosen else 1


if __name__ == "__main__":
    sys.exit(main())
