# Two commands do everything on a fresh machine: `make demo` and `make test`.
.PHONY: help demo test browser nginx editor check lint type arch fmt formats quality bench \
  remotes hashing restore gguf first_token streaming scale bench-dag explore mutate audit wheel \
  docs reference pictures survive endure fuzz clean
.DEFAULT_GOAL := help

PYTHON ?= python3
# llama.cpp without its programs, its servers and the network: a third less to compile.
export CMAKE_ARGS ?= -DLLAVA_BUILD=OFF -DMTMD_BUILD=OFF -DLLAMA_BUILD_TOOLS=OFF \
  -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_TESTS=OFF \
  -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF
export CMAKE_BUILD_PARALLEL_LEVEL ?= 2
MINUTES ?= 60
BIN := .venv/bin
READY := .venv/.ready

help:           ## this list
	@grep -E '^[a-z_-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

demo: $(READY)  ## build the shipped models, then let the 4-bit one write
	$(BIN)/cortexbuild sync
	$(BIN)/cortexbuild list
	$(BIN)/cortexbuild generate stdlib-llama:mlx-4bit 'import os' --max-tokens 60

test: check browser nginx editor $(READY)  ## everything that CI runs
	$(BIN)/pytest -q -n 2 --durations=8

browser:        ## a Chromium for tests/browser, where it can be installed
	@$(PYTHON) tests/browser/chromium.py \
	  || { grep -qs '^ID=debian' /etc/os-release && [ "$$(id -u)" = 0 ] && apt-get update -qq \
	       && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium; } \
	  || echo 'make: no Chromium, so the tests of the report page will be SKIPPED: install it' \
	       '(`apt-get install chromium`, `brew install --cask chromium`), or set CHROMIUM' >&2

nginx:          ## an nginx for tests/remotes, where it can be installed
	@$(PYTHON) tests/remotes/servers.py \
	  || { grep -qs '^ID=debian' /etc/os-release && [ "$$(id -u)" = 0 ] && apt-get update -qq \
	       && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends nginx-light; } \
	  || echo 'make: no nginx, so the tests of http remotes will be SKIPPED: install it' \
	       '(`apt-get install nginx-light`, `brew install nginx`), or set NGINX' >&2

editor:         ## a YAML language server for tests/editor, where there is npm
	@$(PYTHON) tests/editor/language_server.py \
	  || { grep -qs '^ID=debian' /etc/os-release && [ "$$(id -u)" = 0 ] && apt-get update -qq \
	       && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends nodejs npm \
	       && $(PYTHON) tests/editor/language_server.py; } \
	  || echo 'make: no YAML language server, so the tests of the schema in an editor will be SKIPPED:' \
	       'install node and npm (`apt-get install nodejs npm`, `brew install node`)' >&2
docs: $(READY)  ## the documentation as a site, in site/; every link is checked
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --quiet
reference: $(READY)  ## write the pages of the documentation that are made from the code
	$(BIN)/python docs/generate
pictures: browser $(READY)  ## draw the pictures of the README from a real build
	$(BIN)/python docs/generate/pictures.py

check: lint type arch  ## style, types, imports
lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
type: $(READY)
	$(BIN)/mypy
arch: $(READY)
	$(BIN)/lint-imports
fmt: $(READY)   ## rewrite files
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
streaming: $(READY)  ## MLX in 4 bits against mlx_lm.convert, and write docs/reference/streaming.md
	$(BIN)/python bench/streaming
formats: $(READY)  ## build every format from every other, and write docs/reference/formats.md
	$(BIN)/python bench/formats
quality: $(READY)  ## fixed recipes against budgets, and write docs/reference/quality.md
	$(BIN)/python bench/quality
bench: $(READY)  ## every benchmark, one after the other, and write docs/benchmarks.md
	$(BIN)/python bench
hashing: $(READY)  ## hash against sha256sum and b3sum, and write docs/reference/hashing.md
	$(BIN)/python bench/hashing
restore: $(READY)  ## bring cached results back against cp and hf, and write docs/reference/restore.md
	$(BIN)/python bench/restore
gguf: $(READY)  ## four GGUF files of one model against a script, and write docs/reference/gguf.md
	$(BIN)/python bench/gguf
first_token: $(READY)  ## generate against the engines' programs, and write docs/reference/first_token.md
	$(BIN)/python bench/first_token
remotes: $(READY)  ## push and pull against bare clients, and write docs/reference/remotes.md
	$(BIN)/python bench/remotes
scale: $(READY)   ## the scheduler with 1,000 workers and 100,000 steps, and write docs/reference/scale.md
	$(BIN)/python bench/scale
bench-dag: $(READY)  ## 900 trivial steps against other tools, and write docs/reference/bench-dag.md
	$(BIN)/python bench/dag
endure: $(READY)  ## 10,000 random operations on two homes, with kills and damage (Linux)
	PYTHONPATH=tests $(BIN)/python -m endurance --operations 10000 --seed $${SEED:-1}
explore: $(READY)  ## the tests of properties, with other examples in each run
	HYPOTHESIS_PROFILE=explore $(BIN)/pytest -q -n 2 $$(grep -rl '^from hypothesis' tests --include='test_*.py')
survive: $(READY)  ## every fault at every write of whole stories, and how many there were
	@# In memory where that is a folder: on a disk the waiting for it makes hours of half an hour.
	CORTEX_SURVIVE=100 $(BIN)/pytest -q -n 2 -rP tests/survival/test_every_write.py \
	  $$(test -d /dev/shm && echo --basetemp=/dev/shm/cortexbuild-survive)
fuzz: $(READY)   ## look for bytes that break a reader, MINUTES=60 of them; docs/internals/hostile-input.md
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	$(BIN)/python tests/hostile/fuzz.py --minutes $(MINUTES)
mutate: $(READY)  ## break the code on purpose and see that a test notices
	$(BIN)/python tests/mutate.py
audit: .audit/bin/pip-audit  ## known holes in what we depend on, but for those in audit-ignored.txt
	@# --strict: of what the service does not know, it would say that nothing is wrong.
	.audit/bin/pip-audit --strict --progress-spinner off --disable-pip --no-deps -r constraints.txt \
	  $$(sed -nE 's/^([A-Z][A-Za-z0-9-]+): .+/--ignore-vuln \1/p' audit-ignored.txt)
.audit/bin/pip-audit:  # apart, so that it is not among what is looked at
	$(PYTHON) -m venv .audit
	.audit/bin/pip install --quiet --disable-pip-version-check 'pip-audit==2.10.1'
wheel: $(READY)  ## a wheel in dist/: the same bytes wherever this commit is built
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m hatchling build -t wheel -d dist
	@$(BIN)/python -c 'import hashlib, sys; [print(hashlib.sha256(open(p, "rb").read()).hexdigest(), p) for p in sys.argv[1:]]' dist/*.whl
clean:          ## remove what is made here; CORTEX_HOME is left alone
	rm -rf .venv .audit build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
