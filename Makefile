# Everything a contributor runs. `make` alone lists the targets.

PYTHON      ?= python3
VENV        ?= .venv
PYTEST_ARGS ?=
# Processes that share the tests; a file stays in one, which keeps what it has compiled.
WORKERS     ?= auto

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint docs clean distclean
.NOTPARALLEL: # two installations into one environment would collide

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed-core ## fit the influenza example
	$(BIN)/tumble fit examples/influenza/run.yaml --overwrite

test: $(VENV)/.installed-test ## run the tests (not the slow ones)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

test-slow: $(VENV)/.installed-test ## run the slow tests alone
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "slow and not gpu and not external" $(PYTEST_ARGS)

lint: $(VENV)/.installed-lint ## check style, formatting, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed-docs ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean: ## remove caches and built files, but neither results nor the environment
	rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## remove the environment as well
	rm -rf $(VENV)

# The stamps say what is installed, so that only a change of pyproject.toml installs again. The
# package itself is installed in editable form: a change of its code needs nothing.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("tumble needs Python 3.11 or later, but $(PYTHON) is " + sys.version.split()[0] + "; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed-core: pyproject.toml | $(VENV)/.created
	@echo "Installing tumble into $(VENV) (a minute or two the first time)"
	$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.installed-%: pyproject.toml | $(VENV)/.created
	@echo "Installing tumble[$*] into $(VENV) (a minute or two the first time)"
	$(PIP) install --quiet --editable '.[$*]'
	@touch $@
