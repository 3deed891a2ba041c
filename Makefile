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
# What browsers are served is made of these.
PANEL := src/omnitide/api/static/index.html
WEB := $(shell find web \( -name node_modules -o -name dist \) -prune -o -type f -print 2>/dev/null)
DEV := .venv/.dev
BENCH := .venv/.bench

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' Makefile

.PHONY: up
up: $(RUNTIME) $(PANEL) ## start a fabric here: Nexus and one node (UP_ARGS="--help" shows the options)
	@.venv/bin/omnitide up $(UP_ARGS)

.PHONY: test
test: $(DEV) $(PANEL) ## run the whole test suite (ARGS="tests/unit -k name" runs a part)
	@scripts/system-packages
	$(PY) -m pytest -n $(WORKERS) $(ARGS)

.PHONY: web
web: $(RUNTIME) ## build the panel from web/, which `make up` and `make test` do where it is not
	@scripts/web build

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
bench: $(BENCH) $(PANEL) ## measure all that README and docs state, fail by what is missed (ARGS="scheduler --help": one of bench/)
	@scripts/bench $(ARGS)

.PHONY: soak
soak: $(DEV) ## run the long tests (hours): many simulation seeds
	$(PY) -m pytest -n $(WORKERS) --soak -m soak --timeout 14400 $(ARGS)

.PHONY: snapshots
snapshots: $(DEV) $(PANEL) ## make the pictures of pages anew, those that tests compare with and README's: look at them
	$(PY) -m pytest -n 0 --renew-snapshots tests/e2e/test_panel_snapshots.py tests/e2e/test_panel_pictures.py $(ARGS)

.PHONY: coverage-simulation
coverage-simulation: $(DEV) ## show which lines the simulation alone reaches; fails below 90 % of what it is there for
	$(PY) scripts/coverage_simulation.py

.PHONY: proto
proto: $(DEV) ## make the gRPC stubs in src/omnitide/wire from proto/
	$(PY) scripts/proto.py

.PHONY: sdk
sdk: $(DEV) ## make the SDK's synchronous client from the asynchronous one
	$(PY) scripts/unasync.py

.PHONY: dashboards
dashboards: $(DEV) ## make the Grafana dashboards from integrations/grafana
	$(PY) integrations/grafana/dashboards.py

.PHONY: lock
lock: $(DEV) ## pin the dependencies anew from pyproject.toml (ARGS=--upgrade takes newer ones)
	scripts/lock $(ARGS)

.PHONY: clean
clean: ## remove .venv and everything else that these commands made; not while a fabric of it runs (FORCE=1: even then)
	@test -n "$(FORCE)" || scripts/not-running
	rm -rf web/node_modules bench/lighthouse/node_modules web/dist src/omnitide/api/static
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist build bench/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A fabric runs without it too: where it cannot be built, that is said, and this file is not made.
$(PANEL): $(WEB) requirements/web.txt scripts/web | $(RUNTIME)
	@scripts/web build --or-say

$(RUNTIME) $(DEV) $(BENCH): .venv/.%: requirements/%.txt pyproject.toml scripts/setup
	@scripts/setup $*
