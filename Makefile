# `make` alone lists what there is. Everything works from a fresh clone: set-up is part of each target and takes a moment
# when nothing has changed.

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev up up-kubernetes cluster down demo demo-kubernetes mlflow promote pipeline year test test-faults test-genuine check bench bench-kubernetes timings env shell format lint types unit image docs example pictures lock clean

# Any Python from 3.11 that can make virtual environments; name another one with `make PYTHON=...`.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$p -c 'import sys, ensurepip, venv; sys.version_info >= (3, 11) or sys.exit(1); print(sys._base_executable)' \
	2>/dev/null && break; done)
RUN := .venv/bin/python
SETUP = LOCALCLOUD_SETUP="make setup" PYTHONPATH="$(CURDIR)/packages/localcloud/src" $(if $(PYTHON),"$(PYTHON)",$(error Python 3.11 or newer with the venv module is needed, and none is on PATH. \
	Install it (Debian and Ubuntu: python3.11 and python3.11-venv), or name one: make PYTHON=/path/to/python3)) -m localcloud.setup
PYTEST_ARGS ?=
CLOUD = $(MAKE) --no-print-directory -C packages/localcloud RUN="$(CURDIR)/$(RUN)"

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {gsub(/[$$][$$]/, "$$", $$2); printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Environments, the Pulumi CLI and its local plugin; a second time takes a moment
	@$(SETUP) install

setup-dev:
	@$(SETUP) install --level dev --quiet

up: ## Set up, start the local cloud, and bring up stack `local` with its model
	@$(SETUP) install --quiet
	@$(RUN) -m modelstack.cli.local.up

demo: ## A release that is promoted and one that is rolled back, under real traffic
	@$(SETUP) install --quiet
	@$(RUN) -m demos.release

cluster: ## A real Kubernetes cluster of one node on this machine; needs root on Debian, and builds for 20 minutes at first
	@$(SETUP) install --quiet --with kubernetes
	@$(RUN) -m localcloud.cluster up

up-kubernetes: ## Start the cluster, and bring up stack `local-kubernetes` with its model in it
	@$(SETUP) install --quiet --with kubernetes
	@$(RUN) -m modelstack.cli.local.up_kubernetes

demo-kubernetes: ## The story of `make demo`, in the cluster
	@$(SETUP) install --quiet --with kubernetes
	@$(RUN) -m demos.release local-kubernetes

promote: ## Dev, staging and prod at once, each in an account of its own: the same bytes from one to the next
	@$(SETUP) install --quiet
	@$(RUN) -m demos.promotion

pipeline: ## Build the model by all three engines and compare, digest by digest; ENGINES="local kubeflow" builds by some
	@$(SETUP) install --quiet
	@$(RUN) -m demos.builds $(ENGINES)

year: ## Ten months of flights within an hour: drift, retraining, canaries, and what they gained
	@$(SETUP) install --quiet
	@$(RUN) -m demos.year

mlflow: ## An MLflow server on this machine, for the local stacks to be shown in; MLFLOW_PORT names another port than 5000
	@$(SETUP) install --quiet
	@$(RUN) -m modelstack.cli.local.mlflow_server

down: ## Destroy the local stacks, end the cluster, and stop every process
	@$(SETUP) install --quiet
	@$(RUN) -m modelstack.cli.local.down
	@$(RUN) -m localcloud.cluster down

env: ## Print exports that point a client at the local stack: eval "$$(make -s env)"; ACCOUNT=222222222222 for another account
	@$(SETUP) env $(if $(ACCOUNT),--account $(ACCOUNT))

shell: ## A shell on the local stack, or in another ACCOUNT of the local cloud; other stacks need AWS's own settings
	@$(SETUP) shell $(if $(ACCOUNT),--account $(ACCOUNT))

test test-faults test-genuine check bench bench-kubernetes: export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Compiled once: else every process that a test starts would compile all of the project anew.
test test-faults test-genuine check bench bench-kubernetes: export PYTHONDONTWRITEBYTECODE :=
test test-faults test-genuine check unit: export PYTHONPATH := $(CURDIR)/packages/modelstack
export PYTEST_ARGS

# The duration of a whole run is recorded for `make timings`.
TIMED = $(if $(PYTEST_ARGS),,$(RUN) -m bench.timings --run "make $@")

test: setup-dev ## All tests, with what they need of the machine where it may be installed; PYTEST_ARGS chooses some
	@$(TIMED) $(RUN) -m tests -n 4 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-faults: setup-dev ## The whole fault table on every platform; PYTEST_ARGS='-k NAME' chooses some
	@$(TIMED) $(RUN) -m tests --faults $(PYTEST_ARGS)

test-genuine: setup-dev ## A stack as the genuine AWS provider's code reads it, which is built first, for some minutes
	@$(RUN) -m localcloud.genuine
	@$(RUN) -m pytest packages/modelstack/tests/e2e/test_genuine_provider.py $(PYTEST_ARGS)

check: setup-dev ## Format, lint, types and unit tests, side by side, so that no core is idle
	@+$(TIMED) $(MAKE) --no-print-directory -j 3 -k --output-sync=target unit types lint

unit: setup-dev
	@$(RUN) -m pytest -m "not e2e and not slow" -q -n 2 -p tests.durations --durations-to check $(PYTEST_ARGS)

bench: setup-dev ## Measure, and write bench/results.json
	@$(RUN) -m bench $(BENCH_ARGS)

bench-kubernetes: setup-dev ## Measure in this checkout's cluster, started if need be, and write bench/kubernetes.json
	@$(SETUP) install --level dev --quiet --with kubernetes
	@$(RUN) -m bench.kubernetes $(BENCH_ARGS)

timings: setup-dev ## Duration of the last checks, lines of each folder, slowest tests; SINCE=REVISION adds its lines
	@$(RUN) -m bench.timings $(SINCE)

format: setup-dev ## Format, and fix what the linter can
	@$(RUN) -m ruff format .
	@$(RUN) -m ruff check --fix .

# What a command says is shown only when it fails.
QUIET = said=$$($(1) 2>&1) || { printf '%s\n' "$$said"; exit 1; }

lint: setup-dev ## Format, lint, import rules, dependencies, dead code and lines of each folder, changing nothing
	@$(RUN) -m ruff format --check --quiet .
	@$(RUN) -m ruff check --quiet .
	@$(call QUIET,.venv/bin/lint-imports --no-logo --cache-dir .modelstack/import-linter)
	@$(call QUIET,$(RUN) -m deptry --config requirements/deptry.toml .)
	@$(call QUIET,$(RUN) -m deptry --config packages/modelstack/pyproject.toml packages/modelstack/src)
	@$(RUN) -m vulture
	@$(RUN) -m bench.timings --check

types: setup-dev ## The type checker alone
	@$(RUN) -m pyrefly check
	@$(RUN) -m pyrefly check --config requirements/pyrefly-tests.toml
	@+$(CLOUD) types

STACK ?= local

image: ## Build a stack's images, and push them: make image STACK=dev; needs a Docker engine, but not for Kubernetes
	@$(SETUP) install --quiet
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(RUN) -m modelstack.cli.local.image --stack $(STACK)

docs: setup-dev ## Write what is made from code: the pages on commands, config, program and policies, the picture of the pipeline
	@$(RUN) -m modelstack.program.config.page --write
	@$(RUN) -m modelstack.cli.commands_page --write
	@$(RUN) -m modelstack.program.page --write
	@$(RUN) -m modelstack.policy.page --write
	@$(RUN) -m modelstack.cli.main pipeline show --svg docs/pictures/pipeline.svg > /dev/null

example: setup-dev ## Make the example of a comment on a pull request anew: a local cloud of its own, for some minutes
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(RUN) -m bench.pull_request --write

pictures: setup-dev ## Take the pictures of the console from stack `local`, and of MLflow after `make pipeline`; needs Chromium
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(RUN) -m modelstack.cli.console.pictures

lock: ## Compile the lock files, those of new projects too; UPGRADE=1 takes newer versions. Tools: make -C packages/localcloud lock
	@$(SETUP) lock $(if $(UPGRADE),--upgrade)
	@$(SETUP) install --quiet --packages-only
	@$(RUN) -m modelstack.cli.init.lock

clean: ## Remove this checkout's environment and state; the shared cache stays
	@$(SETUP) clean
