# Targets with a `## ` comment are listed by `make help`. Each is idempotent, and fast when there is nothing to do.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

STATE := $(CURDIR)/.state
VENV := $(STATE)/venv
PYTHON := $(VENV)/bin/python
# What the virtual environment was made of; another content makes it anew.
REQUIREMENTS := requirements/dev.txt
VENV_STAMP = $(VENV)/.made-of-$(shell sha256sum $(REQUIREMENTS) | cut -c1-16)

export PYTHONPATH := $(CURDIR)/operator:$(CURDIR)
export PATH := $(VENV)/bin:$(STATE)/bin:$(PATH)
comma := ,
# The cluster's own addresses are never behind a proxy.
export NO_PROXY := $(if $(NO_PROXY),$(NO_PROXY)$(comma))localhost,127.0.0.1,10.244.0.0/16,10.96.0.0/16,10.244.0.1
export no_proxy := $(NO_PROXY)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/\1\t\2/' \
	  | while IFS=$$'\t' read -r name text; do printf '  %-14s %s\n' "$$name" "$$text"; done

.PHONY: venv
venv: $(VENV_STAMP) ## Make the virtual environment from the hashed requirements

$(VENV_STAMP): $(REQUIREMENTS)
	@python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Python 3.11 or newer with its venv module is missing; as root, run: apt-get install python3 python3-venv" >&2; exit 1; }
	@test -x $(PYTHON) || python3 -m venv $(VENV)
	@echo "Installing $(REQUIREMENTS) into $(VENV)"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(REQUIREMENTS)
	@printf '%s\n%s\n' $(CURDIR)/operator $(CURDIR) \
	  > "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/mlops-operator.pth"
	@rm -f $(VENV)/.made-of-*
	@touch $@

.PHONY: cluster
cluster: $(VENV_STAMP) ## Bring up the local Kubernetes (builds it at the first time)
	@$(PYTHON) -m hack.cluster up

.PHONY: cluster-down
cluster-down: $(VENV_STAMP) ## Bring it down; nothing stays behind on the machine
	@$(PYTHON) -m hack.cluster down

.PHONY: clean-cache
clean-cache: ## Remove the built programs that all clones share
	@cache="$${XDG_CACHE_HOME:-$$HOME/.cache}/mlops-operator"; \
	  awk -v cache="$$cache/" 'index($$2, cache) == 1 {print $$2}' /proc/mounts | sort -r | xargs -r -n1 umount; \
	  rm -rf "$$cache"

.PHONY: crds
crds: $(VENV_STAMP) ## Generate crds/ and the references of fields and causes from the code
	@$(PYTHON) -m mlops_operator.api.crd crds
	@$(PYTHON) -m hack.field_reference
	@$(PYTHON) -m hack.cli_reference
	@$(PYTHON) -m hack.cause_reference

.PHONY: demo
demo: cluster images services deploy ## Two trainings on real data, and what came of them
	@$(PYTHON) -m hack.demo up

.PHONY: demo-down
demo-down: $(VENV_STAMP) ## Take everything away again
	@if [ "$${CLUSTER:-}" = current ]; then $(PYTHON) -m hack.demo down; else $(PYTHON) -m hack.cluster down; fi

.PHONY: images
images: cluster ## Build the images that have changed and load them into the cluster
	@$(PYTHON) -m hack.images load

.PHONY: services
services: cluster ## Start the demo's S3 and Git servers in the cluster
	@$(PYTHON) -m hack.services up

.PHONY: deploy
deploy: cluster ## Deploy the operator with the images of this clone
	@$(PYTHON) -m hack.deploy

.PHONY: plugin
plugin: $(VENV_STAMP) ## Put `kubectl mlops` and its completion into .state/bin
	@$(PYTHON) -m hack.plugin $(STATE)/bin && echo "Put $(STATE)/bin on the PATH, then: kubectl mlops --help"

.PHONY: lint
lint: $(VENV_STAMP) ## ruff, mypy and import-linter
	@ruff check .
	@ruff format --check .
	@mypy operator/mlops_operator hack tests bench
	@lint-imports

.PHONY: schemas
schemas: $(VENV_STAMP)
	@$(PYTHON) -m hack.schemas

.PHONY: unit
unit: schemas ## The tests that need nothing outside the process (ARGS="-k word" for a part)
	@pytest tests/unit $(ARGS)

.PHONY: e2e
e2e: cluster images services deploy ## The tests on the real cluster (ARGS="-k word" for a part)
	@pytest -n 4 --dist loadscope --no-loadscope-reorder tests/e2e $(ARGS)

# One pytest, so that its closing line counts everything.
.PHONY: test
test: lint schemas cluster images services deploy ## Everything that continuous integration runs
	@pytest -n 4 --dist loadscope --no-loadscope-reorder --durations=30 --durations-min=5 tests/unit tests/e2e $(ARGS)

.PHONY: bench
bench: cluster images services deploy ## Measure, side by side; prints a table
	@$(PYTHON) -m bench $(ARGS)

.PHONY: docs
docs: $(VENV_STAMP) crds ## Build the pages into .state/site
	@test -x $(STATE)/docs-venv/bin/mkdocs || { python3 -m venv $(STATE)/docs-venv && $(STATE)/docs-venv/bin/pip install --quiet mkdocs-material; }
	@$(STATE)/docs-venv/bin/mkdocs build --strict --quiet && echo "The pages are in $(STATE)/site."

.PHONY: lock
lock: $(VENV_STAMP) ## Resolve the dependencies anew (needs uv)
	@command -v uv >/dev/null || { echo "uv is missing; run: pip install uv" >&2; exit 1; }
	@uv lock --quiet --upgrade
	@for group in operator agent dev; do \
	  uv export --quiet --frozen --no-emit-project --no-header --no-annotate --extra $$group -o requirements/$$group.txt; done
