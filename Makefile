# Omnitide's everyday commands; `make help` lists them. Each does its own set-up, in .venv, from hash-pinned locks.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PY := .venv/bin/python

# What a developer may want to change on the command line.
# Three, on two cores: tests of real processes wait for much of their time.
WORKERS ?= 3
ARGS ?=
UP_ARGS ?=
FORCE ?=

RUNTIME := .venv/.runtime
DEV := .venv/.dev
BENCH := .venv/.bench

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' Makefile

.PHONY: up
up: $(RUNTIME) ## start a fabric here: Nexus and one node (UP_ARGS="--help" shows the options)
	@.venv/bin/omnitide up $(UP_ARGS)

.PHONY: test
test: $(DEV) ## run the whole test suite (ARGS="tests/unit -k name" runs a part)
	@scripts/system-packages
	$(PY) -m pytest -n $(WORKERS) $(ARGS)

.PHONY: lint
lint: $(DEV) ## check style, formatting and the direction of imports
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	.venv/bin/lint-imports

.PHONY: typecheck
typecheck: $(DEV) ## check types, strictly
	$(PY) -m basedpyright

.PHONY: format
format: $(DEV) ## format the code and make the safe repairs
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

.PHONY: bench
bench: $(BENCH) ## measure all that README and docs state (ARGS="scheduler --help": one of bench/)
	@scripts/bench $(ARGS)

.PHONY: soak
soak: $(DEV) ## run the long tests (hours): many simulation seeds
	$(PY) -m pytest -n $(WORKERS) --soak -m soak --timeout 14400 $(ARGS)

.PHONY: coverage-simulation
coverage-simulation: $(DEV) ## show which lines the simulation alone reaches; fails below 90 % of what it is there for
	$(PY) scripts/coverage_simulation.py

.PHONY: proto
proto: $(DEV) ## make the gRPC stubs in src/omnitide/wire from proto/
	$(PY) scripts/proto.py

.PHONY: sdk
sdk: $(DEV) ## make the SDK's synchronous client from the asynchronous one
	$(PY) scripts/unasync.py

.PHONY: lock
lock: $(DEV) ## pin the dependencies anew from pyproject.toml (ARGS=--upgrade takes newer ones)
	scripts/lock $(ARGS)

.PHONY: clean
clean: ## remove .venv and everything else that these commands made; not while a fabric of it runs (FORCE=1: even then)
	@test -n "$(FORCE)" || scripts/not-running
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist build bench/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME) $(DEV) $(BENCH): .venv/.%: requirements/%.txt pyproject.toml scripts/setup
	@scripts/setup $*
