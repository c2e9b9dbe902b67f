# Everything runs in .venv; `make` alone says what there is.
PYTHON ?= python3
BIN := .venv/bin
LOWEST := .venv-lowest/bin

BENCH := .venv-bench/bin

.PHONY: help install test test-slow check lint types imports check-lowest check-lowest-frameworks bench bench-scale clean

help:
	@echo "make install       .venv with everything that development needs"
	@echo "make test          the suite, on SQLite and PostgreSQL"
	@echo "make test-slow     kills, restarts, poolers, soaks"
	@echo "make check         lint, types, imports, and the suite on the lowest versions allowed"
	@echo "make bench         measure beside the raw drivers and other stores; writes docs/performance.md"
	@echo "make bench-scale   a million sessions against a thousand (10 GB of disk)"

$(BIN)/uv: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -e '.[dev]'
	touch $(BIN)/uv

install: $(BIN)/uv

test: install
	$(BIN)/pytest -n auto

test-slow: install
	$(BIN)/pytest -n auto -m slow

check: lint types imports check-lowest check-lowest-frameworks

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install
	$(BIN)/pyright --pythonpath $(BIN)/python

imports: install
	$(BIN)/lint-imports

# Hosts are on SQLAlchemy 2.0 too: the suite once more, on every floor of pyproject.toml. The frameworks need newer
# versions of what the core needs, so they have a target of their own; what tests/house says of files isn't changed by
# versions. asyncpg 0.30 drops the socket of a connection that breaks in its set-up, which shows in whatever test runs
# when it is collected.
FRAMEWORKS := langchain openai_agents pydantic_ai
WITHOUT_FRAMEWORKS := --ignore=tests/house $(addprefix --ignore-glob=*,$(FRAMEWORKS:%=%*) across_frameworks* framework_items*)
DROPPED_SOCKETS := -W ignore::pytest.PytestUnraisableExceptionWarning

check-lowest: install
	$(BIN)/python -m venv --clear .venv-lowest
	$(BIN)/uv pip install --quiet --python $(LOWEST)/python --resolution lowest-direct -e '.[test-core]'
	$(LOWEST)/pytest -n auto $(WITHOUT_FRAMEWORKS) $(DROPPED_SOCKETS)

check-lowest-frameworks: install
	$(BIN)/python -m venv --clear .venv-lowest
	$(BIN)/uv pip install --quiet --python $(LOWEST)/python --resolution lowest-direct -e '.[test]'
	$(LOWEST)/pytest -n auto $(FRAMEWORKS:%=tests/adapters/%/test_runs.py) $(DROPPED_SOCKETS)

# pip 25.1 knows dependency groups.
$(BENCH)/benchmarks: pyproject.toml
	test -x $(BENCH)/python || $(PYTHON) -m venv .venv-bench
	$(BENCH)/pip install --quiet --upgrade 'pip>=25.1'
	$(BENCH)/pip install --quiet -e . --group bench
	touch $@

# `$(BENCH)/python -m benchmarks --help` measures a part of it, and publishes nothing.
bench: $(BENCH)/benchmarks
	$(BENCH)/python -m benchmarks --publish

bench-scale: $(BENCH)/benchmarks
	$(BENCH)/python -m benchmarks.scale

clean:
	rm -rf .venv .venv-bench .venv-lowest dist
