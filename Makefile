# `make quickstart` and `make test` are all a newcomer needs; `make help` lists the rest.

VENV := .venv
BIN := $(VENV)/bin
# Touched when everything below is installed, so that a second call costs nothing.
INSTALLED := $(VENV)/.installed
REQUIREMENTS := requirements/uv.txt requirements/cpu.txt requirements/torch-cpu.txt
WORKDIR ?= runs
PRESET ?= quickstart
# Extra options for pytest: make test PYTEST_ARGS="-k ledger"
PYTEST_ARGS ?=
# Two processes, each with the tests of one file at a time (they share fixtures), in the order of
# tests/conftest.py; PARALLEL= for a single one.
PARALLEL ?= -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help install quickstart test test-fast lint format docs lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(INSTALLED): scripts/install.sh pyproject.toml $(REQUIREMENTS)
	@scripts/install.sh
	@touch $@

install: $(INSTALLED)  ## create .venv with the pinned dependencies and the project

quickstart: $(INSTALLED)  ## run the complete quickstart campaign; results in runs/
	$(BIN)/design-loop campaign run $(PRESET) --workdir $(WORKDIR)

test: $(INSTALLED)  ## all tests: fast ones first, then slow ones, the whole campaign last
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

test-fast: $(INSTALLED)  ## the tests that start neither Ray, vLLM nor xTB
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not e2e" $(PYTEST_ARGS)

lint: $(INSTALLED)  ## ruff: style and likely mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(INSTALLED)  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED)  ## write docs/cli.md and docs/campaign-file.md from the code itself
	$(BIN)/python scripts/write_cli_docs.py
	$(BIN)/python scripts/write_config_docs.py

# Keeps every version that still fits; `make lock UPGRADE=--upgrade` takes the newest.
lock: $(INSTALLED)  ## pin the dependencies again after a change in pyproject.toml
	$(BIN)/uv pip compile requirements/uv.in $(UPGRADE) \
		--generate-hashes --quiet --no-header --no-annotate --output-file requirements/uv.txt
	$(BIN)/uv pip compile pyproject.toml requirements/torch-needs.in requirements/build-needs.in \
		$(UPGRADE) --extra cpu --extra dev --extra postgres --universal --python-version 3.11 \
		--override requirements/without-torch.txt \
		--generate-hashes --quiet --no-header --no-annotate --output-file requirements/cpu.txt
	$(BIN)/uv pip compile pyproject.toml requirements/build-needs.in \
		$(UPGRADE) --extra gpu --extra postgres --universal --python-version 3.11 \
		--generate-hashes --quiet --no-header --no-annotate --output-file requirements/gpu.txt

clean:  ## remove the environment and caches, never a campaign
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis
