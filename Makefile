# What a newcomer and the CI type. Each target first installs what it lacks: Debian packages
# (tools/host-packages), and a virtual environment in .venv from pinned requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help run test lint unit compat guest docs fuzz bench pin clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 10

run: $(VENV)/.run ## build examples/systems/web.yml, boot it, show its page, leave you on its console
	@$(BIN)/python tools/first_run.py

test: $(VENV)/.dev $(VENV)/.docs ## everything the CI runs: lint, unit, docs, compat and guest tests
	@tools/host-packages test
	@tools/check lint unit docs compat guest

lint: $(VENV)/.dev ## formatter, linter, types, spelling
	@tools/check lint

unit: $(VENV)/.dev ## tests that need no peer and no machine
	@tools/check unit

compat: $(VENV)/.dev ## tests against real peers
	@tools/host-packages test
	@tools/check compat

guest: $(VENV)/.dev ## tests that boot machines
	@tools/host-packages test
	@tools/check guest

docs: $(VENV)/.docs ## the documentation, as docs/_build/html
	@$(BIN)/python -m sphinx -W --keep-going -q -j $(JOBS) docs docs/_build/html
	@echo docs/_build/html/index.html

fuzz: $(VENV)/.dev ## every fuzz target, longer than the tests do
	@$(BIN)/python fuzz/run.py --mutations 20000

bench: $(VENV)/.dev ## the measurements of bench/RESULTS.md
	@tools/host-packages test
	@for script in $$(grep -l __main__ bench/*.py); do $(BIN)/python $$script || exit 1; done

# needs uv; no address of a package index may get into these files
pin: ## choose the pinned requirements anew
	@for group in run dev docs; do \
		uv pip compile pyproject.toml --extra build --extra net --extra tty --group $$group \
			--universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
			--no-emit-index-url --no-emit-find-links --upgrade --quiet \
			--output-file requirements/$$group.txt || exit 1; \
	done

clean: ## remove the virtual environment and everything built
	rm -rf $(VENV) dist docs/_build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(BIN)/python:
	@tools/host-packages run
	$(PYTHON) -m venv $(VENV)

$(VENV)/.%: requirements/%.txt pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements/$*.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
