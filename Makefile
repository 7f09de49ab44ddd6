# Two commands do everything: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install run test test-slow check format docs table8 bench

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

run: install
	$(BIN)/halpgraph run recipes/graphcl_mutag.yaml

test: install check
	$(BIN)/python -m pytest -m 'not slow and not gpu' -n 2

test-slow: install
	$(BIN)/python -m pytest -m 'slow and not gpu' -n 2

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: install
	$(BIN)/python docs/make_catalogue.py
	$(BIN)/python docs/make_methods.py

table8: install
	$(BIN)/halpgraph run recipes/table8.yaml
	$(BIN)/python docs/make_table8.py

bench: install
	$(BIN)/python benchmarks/epoch.py
	$(BIN)/python benchmarks/nested_svm.py
	$(BIN)/python benchmarks/halp_head.py
	$(BIN)/python benchmarks/prototypes.py
	$(BIN)/python benchmarks/pose_views.py
	$(BIN)/python benchmarks/encoders.py
