# make demo: the study on recorded voices.  make test: lint, types, tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

.PHONY: demo test node lint clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   the frozen-head study on recorded voices: about 9 minutes on two cores after the install"
	@echo "make test   ruff, mypy and the tests, under 12 minutes"
	@echo "make clean  remove the virtual environment and caches (not runs/)"

demo: $(VENV)/demo.done
	@$(BIN)/shortvox demo --out runs/demo

test: $(VENV)/test.done node
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/python -m pytest

$(VENV)/pip.done: constraints.txt
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/demo.done: $(VENV)/pip.done pyproject.toml
	@echo "installing shortvox and what it needs into $(VENV)"
	$(PIP_INSTALL) -e '.[demo]'
	@touch $@

$(VENV)/test.done: $(VENV)/pip.done pyproject.toml
	@echo "installing shortvox and what its tests need into $(VENV)"
	$(PIP_INSTALL) -e '.[train,demo,dev,tensorboard]'
	@touch $@

# onnxruntime for the JavaScript page; where node is missing its test is skipped.
node:
	@if command -v npm >/dev/null && [ ! -d tests/export/javascript/node_modules ]; then \
	  npm install --prefix tests/export/javascript --ignore-scripts --no-package-lock --no-audit --no-fund \
	  || echo "npm cannot install onnxruntime-web; the test of the JavaScript page will fail"; fi

clean:
	rm -rf $(VENV) tests/export/javascript/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis build src/*.egg-info
