# Two commands on a fresh machine: `make demo` and `make test`. Everything else is listed by `make help`.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PLATFORM_HOME ?= .platform
DAGSTER_HOME := $(abspath $(PLATFORM_HOME))/dagster

export PLATFORM_HOME DAGSTER_HOME
export DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS = true
export DAGSTER_EVENT_BATCH_SIZE = 500
export DAGSTER_RUN_STATUS_SENSOR_PROCESS_LIMIT = 100

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==0.13.8"
	@# Without byte-code every Dagster process starts three times slower.
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q platform_assets platform_assets_tests
	@touch $@

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.PHONY: setup
setup: $(STAMP) ## Create .venv from the lock file

.PHONY: demo
demo: $(STAMP) ## Two tenants' costs, from a provider's API to a monthly report, in the embedded warehouse
	$(BIN)/python -m platform_assets.demo

.PHONY: dev
dev: $(STAMP) ## The Dagster UI on the demo's data
	$(BIN)/python -m platform_assets.demo --serve

PORT ?= 8080
LOCAL := $(BIN)/python -m platform_assets.demo.cdc
.PHONY: local-up local-seed local-run local-test local-down
local-up: $(STAMP) ## The CDC monitor's sample data, afresh
	$(LOCAL) up
local-seed: $(STAMP) ## The sample tables as they were at first
	$(LOCAL) seed
local-run: $(STAMP) ## The CDC monitor as a service on port PORT, in the background
	$(LOCAL) run --port $(PORT)
local-test: $(STAMP) ## Post the sample event; METRIC lines 1500.0 and 0.1875
	$(LOCAL) test --port $(PORT)
local-down: ## Stop the service
	$(LOCAL) down

.PHONY: emulators
emulators: $(STAMP) ## BigQuery, S3, SQS, SNS and Pub/Sub on loopback, until Ctrl-C
	bash platform_assets_tests/servers/install.sh
	$(BIN)/python -m platform_assets_tests.servers

.PHONY: demo-emulated
demo-emulated: $(STAMP) ## The demo on production's adapters against the emulators; the same gold numbers as DuckDB
	bash platform_assets_tests/servers/install.sh
	$(BIN)/python -m platform_assets_tests.demo.emulated $(DEMO)

.PHONY: test
test: $(STAMP) ## Lint, types, configuration and all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/platform-assets validate
	$(BIN)/platform-assets schema generate --check
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.PHONY: test-ge
test-ge: $(STAMP) ## Data quality against Great Expectations itself, in an environment of its own
	$(BIN)/python -m platform_assets_tests.differential
	TEST_GE=1 $(BIN)/python -m pytest platform_assets_tests/differential

.PHONY: snapshot
snapshot: $(STAMP) ## Accept the asset graph as it is now
	$(BIN)/python -m platform_assets_tests.assets.snapshot

.PHONY: bench
bench: $(STAMP) ## Measurements side by side with what users would pick instead
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements-bench.lock
	$(BIN)/python -m platform_assets_tests.benchmarks $(ARGS)

KILLS ?= 200
.PHONY: bench-kill
bench-kill: $(STAMP) ## Kill the inbox at every step and at KILLS random instants; nothing may be lost or doubled
	$(BIN)/python -m platform_assets_tests.benchmarks.kill_inbox --kills $(KILLS)

.PHONY: lock
lock: $(STAMP) ## Renew the pinned dependencies
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 --extra dev pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 --extra dev --extra bench -c requirements.lock pyproject.toml -o requirements-bench.lock

.PHONY: clean
clean: ## Remove the demo's data and Dagster's history
	rm -rf $(PLATFORM_HOME)
