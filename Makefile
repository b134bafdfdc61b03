# `make demo` and `make test` are the two commands to start with; each makes .venv first where it is missing.

PYTHON := $(shell command -v python3.11 || echo python3)
BIN := .venv/bin

.PHONY: demo test lint bench

demo: .venv  ## train on 2,624 photos of solar cells, then predict three that were held out
	rm -rf runs/demo
	$(BIN)/inarch train recipes/vision/elpv_efficientnet_lite0_full.yaml --out runs/demo
	grep -o '[^"]*\.png' runs/demo/predictions/test.jsonl | head -n 3 | xargs -d '\n' $(BIN)/inarch predict runs/demo/model

test: lint  ## everything that must hold: style, types, the direction of imports, the whole suite
	$(BIN)/pytest -n 2

lint: .venv
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv  ## every benchmark; each prints its figures as one JSON line
	set -e; for script in benchmarks/*.py; do $(BIN)/python $$script; done

.venv: .venv/installed

# pip reads these: exact versions for what it installs, and for the tool that builds inarch.
.venv/installed: export PIP_CONSTRAINT := constraints.txt
.venv/installed: export PIP_BUILD_CONSTRAINT := constraints.txt
.venv/installed: export PIP_DISABLE_PIP_VERSION_CHECK := 1
.venv/installed: pyproject.toml constraints.txt requirements-demo.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[all,dev]'
	$(BIN)/pip install --quiet --no-deps --require-hashes --requirement requirements-demo.txt
	touch $@
