# Every command of the project; CI and the commit hooks call these same targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
ARGS ?=
# modules are compiled once, not again by every process that tests start
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCKED := --require-hashes -r requirements.lock
# what pip says, shortened: how many packages it has fetched, then that it unpacks them
COUNTED = { n=0; printf 'packages:'; while read -r word rest; do case $$word in \
  Collecting|Processing) ((++n % 10)) || printf ' %s' $$n;; \
  Installing) printf ' %s, unpacking' $$n;; esac; done; echo; }
UV = $(or $(shell command -v uv),$(BIN)/uv)
PYTEST = $(BIN)/python -m pytest -n auto

VERSION := -c 'import sys; print(sys.version_info[:2])'
ifneq ($(origin PYTHON),file) # asked for: an environment of another version is made anew
ifneq ($(shell $(PYTHON) $(VERSION)),$(shell test -x $(BIN)/python && $(BIN)/python $(VERSION)))
ANEW := anew
endif
endif

.PHONY: install
install: $(STAMP) ## make .venv with the locked packages and this one (PYTHON=python3.13 for another)

.PHONY: anew
anew:

$(STAMP): pyproject.toml requirements.lock $(ANEW)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Backstay needs Python 3.11 or newer: make install PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python -a -z "$(ANEW)" || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing the locked packages into $(VENV); the first time this takes a minute or two"
	@set -o pipefail; command -v uv >/dev/null && uv pip install --python $(BIN)/python $(LOCKED) \
	  || $(BIN)/python -m pip install --progress-bar off $(LOCKED) | $(COUNTED)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: run
run: install ## start the server (ARGS="--reload")
	$(BIN)/backstay serve $(ARGS)

.PHONY: test
test: install ## run the tests on all cores (ARGS="-k name", ARGS="-n 0" for one)
	$(PYTEST) $(ARGS)

.PHONY: quick
quick: install ## run a sample of the tests that start no process, at every save
	$(PYTEST) --quick $(ARGS)

.PHONY: check
check: lint types ## everything that is judged without running: format, lint, import contracts, types

.PHONY: fmt
fmt: install ## format the code and repair what can be repaired
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

.PHONY: lint
lint: install ## format, lint rules, import contracts and migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/backstay db lint platform_0011

.PHONY: types
types: install ## mypy, strict, over src and tests
	$(BIN)/mypy

.PHONY: audit
audit: install ## look the locked packages up among known vulnerabilities (needs the network)
	$(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements.lock
	$(BIN)/pip-audit --strict --require-hashes --disable-pip -r tests/clients/requirements.lock
	$(BIN)/pip-audit --strict --require-hashes --disable-pip -r tests/blueprints/requirements.lock

.PHONY: docs
docs: install ## make the documentation site in build/site; a broken link fails it
	$(BIN)/sphinx-build -q -W --keep-going -d build/doctrees -c docs . build/site
	@echo "build/site/index.html"

.PHONY: face
face: install ## write what follows from the list of public names: the stub, docs/api.md and docs/api/*.json
	$(BIN)/python -m tests.architecture.face

.PHONY: deploy
deploy: install ## write deploy/ from its templates
	$(BIN)/python -m tests.blueprints.deploy_files

.PHONY: image
image: install ## build the image and run it read-only (docker, or buildah and podman; takes minutes)
	$(BIN)/python -m tests.blueprints.image

.PHONY: rollouts
rollouts: install ## deploy 20 times and go back 3 times under load, behind nginx (takes half an hour)
	$(BIN)/python -m tests.services.rollouts $(ARGS)

.PHONY: chart
chart: install ## render the chart with Helm and validate it strictly (installs 350 MB the first time)
	CHART=1 $(PYTEST) tests/blueprints/test_chart.py $(ARGS)

.PHONY: blueprints
blueprints: install ## generate, migrate, type and test 200 random entities (takes half an hour)
	BLUEPRINTS=200 $(PYTEST) tests/blueprints/test_random_entities.py $(ARGS)

.PHONY: copies
copies: install ## test the features as copies, as a project has them that ejected all
	$(BIN)/python -m tests.blueprints.copies $(ARGS)

.PHONY: kills
kills: install ## kill every command that changes a project 50 times (takes an hour)
	$(BIN)/python -m tests.blueprints.kills 50 $(ARGS)

.PHONY: copy-kills
copy-kills: install ## kill copies of a database 20 times in each direction (takes some minutes)
	$(BIN)/python -m tests.db.copy_kills 20 $(ARGS)

.PHONY: faults
faults: install ## send 100,000 requests while connections and requests are killed (takes half an hour)
	$(BIN)/python -m tests.faults.random_faults $(or $(REQUESTS),100000) $(ARGS)

.PHONY: drill
drill: install ## add, check and remove all that commands add to a project (takes half an hour)
	$(BIN)/python -m tests.blueprints.drill $(ARGS)

.PHONY: backups
backups: install ## damage backups, kill restores, and replay 1,000 requests after one (takes minutes)
	$(BIN)/python -m tests.backups.chaos $(ARGS)
	$(BIN)/python -m tests.backups.replay

.PHONY: upgrades
upgrades: install ## take three projects through ten made-up releases (takes a quarter of an hour)
	UPGRADES=10 $(BIN)/python -m pytest -n 2 tests/upgrades/test_upgrade.py tests/upgrades/test_own.py tests/upgrades/test_killed.py -rP $(ARGS)

.PHONY: maintenance
maintenance: install ## switch maintenance on and off under load, on each kind of database (takes five minutes)
	$(BIN)/python -m tests.faults.maintaining 10 $(ARGS)

.PHONY: dashboards
dashboards: install ## write the Grafana dashboards from tests/monitoring/dashboards.yaml
	$(BIN)/python -m tests.monitoring.dashboards

.PHONY: alerts
alerts: install ## bring every alert about by its real fault on one host (half an hour; ARGS="Down RedisDown")
	$(BIN)/python -m tests.monitoring.provoke $(ARGS)

.PHONY: panels
panels: install ## ask a real Prometheus every query of the dashboards, and draw them
	$(BIN)/python -m tests.monitoring.panels

.PHONY: cov
cov: install ## run the tests and show what they do not reach
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

.PHONY: bench
bench: install ## measure the request path against a bare application (ARGS="item me"; needs wrk)
	$(BIN)/python -m benchmarks $(ARGS)

.PHONY: lock
lock: ## write the locks of Python packages from pyproject.toml (ARGS=--upgrade for newer versions)
	$(UV) pip compile pyproject.toml --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --quiet \
	  --output-file requirements.lock $(ARGS)
	$(UV) pip compile --group generators --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --quiet \
	  --output-file tests/clients/requirements.lock $(ARGS)
	$(UV) pip compile --group charts --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --quiet \
	  --output-file tests/blueprints/requirements.lock $(ARGS)

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
