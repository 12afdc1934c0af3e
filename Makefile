# Everything here needs only Python 3.10 or newer and make.
# `make` alone lists what there is.
PYTHON ?= python3
WORKERS ?= 2
DEMO_RUN := runs/demo

# One thread per test process: two of them on two cores.
TEST_ENV := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
PYTEST := -m pytest -q -n $(WORKERS)

.PHONY: help demo test test-457 test-optimum check format clean

help:  ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST)

# $(call environment,FOLDER,CONSTRAINTS): install again only when what is asked for has changed.
define environment
$(1)/.installed: pyproject.toml $(2)
	@$$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "cofi needs Python 3.10 or newer: make PYTHON=python3.12")'
	$$(PYTHON) -m venv $(1)
	$(1)/bin/python -m pip install --disable-pip-version-check -q -c $(2) -e ".[demo,dev]"
	@touch $$@
endef
$(eval $(call environment,.venv,constraints.txt))
$(eval $(call environment,.venv-457,constraints-4.57.txt))

# An unfinished run goes on where it stopped; a finished one makes room.
demo: .venv/.installed  ## the whole chain on an embedded model and text, in minutes on two cores
	@if [ -e $(DEMO_RUN)/report.json ]; then rm -rf $(DEMO_RUN); fi
	.venv/bin/cofi prune --preset demo --resume -o $(DEMO_RUN)
	.venv/bin/cofi export $(DEMO_RUN) --all-sizes
	.venv/bin/cofi bench $(DEMO_RUN) --all-sizes --batch 1,32 --seq-len 64 --max-seconds 10

test: .venv/.installed  ## all tests
	$(TEST_ENV) .venv/bin/python $(PYTEST)

test-457: .venv-457/.installed  ## the fast tests on the 4.57 line of transformers
	$(TEST_ENV) .venv-457/bin/python $(PYTEST) -m "not slow"

# optimum's ONNX classes need transformers 4.57, so they have an environment of their own, with
# cofi alone and not what it needs: its model type is all that optimum asks for.
.venv-optimum/.installed: pyproject.toml constraints-optimum.txt
	$(PYTHON) -m venv .venv-optimum
	.venv-optimum/bin/python -m pip install --disable-pip-version-check -q -r constraints-optimum.txt
	.venv-optimum/bin/python -m pip install --disable-pip-version-check -q --no-deps -e .
	@touch $@

test-optimum: .venv/.installed .venv-optimum/.installed  ## an export opens in optimum, and optimum exports
	$(TEST_ENV) COFI_OPTIMUM_PYTHON=.venv-optimum/bin/python \
		.venv/bin/python -m pytest -q tests/e2e/test_optimum.py

check: .venv/.installed  ## lint, format, types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy --strict cofi_cli

format: .venv/.installed  ## rewrite the code as check wants it
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

clean:  ## remove environments and caches; runs/ stays
	rm -rf .venv .venv-457 .venv-optimum .mypy_cache .pytest_cache .ruff_cache build dist
