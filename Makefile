# Two commands do everything: `make demo` and `make test`. They need Python 3.10+ and make.
PYTHON ?= python3
WORKERS ?= 2
BIN := .venv/bin
BIN_457 := .venv-457/bin
STAMP := .installed

.PHONY: help demo test check format test-457 clean

help:  ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

demo: .venv/$(STAMP)  ## the whole main job on a real encoder and text that every Python has
	$(BIN)/cofi prune demo --task demo --preset demo
	$(BIN)/cofi export --onnx
	$(BIN)/cofi bench

test: .venv/$(STAMP)  ## all tests
	$(BIN)/python -m pytest -q -n $(WORKERS)

check: .venv/$(STAMP)  ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/$(STAMP)  ## rewrite the code as `make check` wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-457: .venv-457/$(STAMP)  ## the fast tests on transformers 4.57
	$(BIN_457)/python -m pytest -q -n $(WORKERS) -m "not slow"

clean:  ## remove the environments and caches; runs/ stays
	rm -rf .venv .venv-457 build dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.version_info >= (3, 10) or sys.exit('cofi needs Python 3.10 or newer')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[demo,dev]"
	touch $@

.venv-457/$(STAMP): pyproject.toml constraints-4.57.txt
	$(PYTHON) -c "import sys; sys.version_info >= (3, 10) or sys.exit('cofi needs Python 3.10 or newer')"
	$(PYTHON) -m venv .venv-457
	$(BIN_457)/python -m pip install --quiet --constraint constraints-4.57.txt --editable ".[demo,dev]"
	touch $@
