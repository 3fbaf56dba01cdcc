# Everything a newcomer needs: make demo, make test.
PYTHON ?= python3
JOBS ?= 2
BIN := .venv/bin
# Every test process computes with one thread; a free process takes over tests that wait for another.
PARALLEL := --numprocesses $(JOBS) --dist worksteal

# Tests start hundreds of processes that load our modules: Python keeps them compiled, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test quick-test coverage lowest lint bench tables dist clean

demo: .venv/demo
	$(BIN)/bertram train --data sample

test: .venv/dev
	$(BIN)/pytest $(PARALLEL)

quick-test: .venv/dev
	$(BIN)/pytest $(PARALLEL) -m 'not slow'

coverage: .venv/dev
	$(BIN)/pytest $(PARALLEL) --cov --cov-report=term

# The quick tests with the oldest versions that pyproject.toml admits; deprecations among old libraries are not ours.
lowest: .venv-lowest/test
	.venv-lowest/bin/pytest $(PARALLEL) -m 'not slow' -W ignore::DeprecationWarning

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/dev
	$(BIN)/python -m benchmarks

tables: .venv/dev
	$(BIN)/python -m tools.tables
	$(BIN)/python -m tools.findings
	$(BIN)/python -m tools.pages

# A wheel and a source distribution in dist/.
dist: .venv/dev
	rm -rf build dist
	$(BIN)/python -m build --quiet

.venv/demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[surgery]'
	touch $@

# smart-pytorch is a peer that tests compare with; its dependencies bring outdated type stubs, so it comes alone.
.venv/dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/pip install --quiet --no-deps smart-pytorch==0.0.4
	touch $@ .venv/demo

.venv-lowest/test: pyproject.toml constraints-lowest.txt
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install --quiet --constraint constraints-lowest.txt --editable '.[test]'
	.venv-lowest/bin/pip install --quiet --no-deps smart-pytorch==0.0.4
	touch $@

clean:
	rm -rf .venv .venv-lowest build dist
