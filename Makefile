# Everything runs in .venv, which is made as soon as it is missing or pyproject.toml has changed.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
BIN := $(VENV)/bin

.DEFAULT_GOAL := help

.PHONY: help setup serve demo-shop test lint check audit bench bench-scale bench-growth bench-bloat \
  bench-pages faults fuzz soak soak-sync simulate \
  stress browser screenshots clean

help: ## List what make can do
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(DEV) ## Install everything into .venv

# The service needs less than its tests do, so that `make serve` is quick on a fresh machine.
$(RUN): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing Refundry into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $(RUN)

$(DEV): $(RUN) sync/pyproject.toml
	@echo "installing what the tests need into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' \
	  --editable './sync[postgres,oscar]'
	@touch $(DEV)

serve: $(RUN) ## Run the service on 127.0.0.1:8080
	@exec $(BIN)/refundry serve

demo-shop: $(DEV) ## Refundry and a shop of django-oscar beside it, until Ctrl-C
	@exec $(BIN)/python sync/demo/run.py $(DEMO)

browser: ## Install Chromium and fonts from Debian for the tests of the dashboard, as root
	@tools/install_browser.sh

screenshots: $(DEV) browser ## Make the pictures of docs/images again
	$(BIN)/python -m tests.browser.screenshots
	$(BIN)/python -m tests.oscar.screenshots

test: $(DEV) ## Run the tests, in two processes; in one, to see each by itself: make test PROCESSES=0
	$(BIN)/python -m pytest -m 'not check and not faults' --timeout 150 \
	  -n $${PROCESSES:-2} --dist loadfile

lint: $(DEV) ## ruff, bandit, pyright and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive src sync/src tools
	$(BIN)/pyright
	$(BIN)/lint-imports

check: lint ## The linters and every test, fuzz and fault runs included
	$(BIN)/python -m pytest

audit: $(DEV) ## Known vulnerabilities of what is installed; asks a service outside
	$(BIN)/python tools/audit_packages.py

bench: $(DEV) ## Measure, with PostgreSQL alone as the reference
	$(BIN)/python -m bench $(BENCH)

bench-scale: $(DEV) ## Measure one and two processes, pgbouncer, and overload
	$(BIN)/python -m bench --only scale overload $(BENCH)

bench-growth: $(DEV) ## Measure with few and with two million refunds
	$(BIN)/python -m bench.growth $(BENCH)

faults: $(DEV) ## Break the real thing under load, for minutes: REFUNDRY_FAULT_ROUNDS=10 make faults
	$(BIN)/python -m pytest tests/faults

bench-bloat: $(DEV) ## Refunds at a steady rate; what becomes of the tables
	$(BIN)/python -m bench.bloat $(BENCH)

fuzz: $(DEV) ## 20,000 generated requests and chains of them: make fuzz FUZZ='--seed 7'
	$(BIN)/python -m tests.fuzz $(FUZZ)

bench-pages: $(DEV) ## How long pages take with 100,000 orders
	$(BIN)/python -m bench.dashboard $(BENCH)

soak: $(DEV) ## Kill and restart for longer: REFUNDRY_KILL_ROUNDS=50 make soak
	REFUNDRY_KILL_ROUNDS=$${REFUNDRY_KILL_ROUNDS:-20} $(BIN)/python -m pytest tests/system/test_kill.py
	REFUNDRY_KILL_ROUNDS=$${REFUNDRY_KILL_ROUNDS:-200} $(BIN)/python -m pytest \
	  tests/system/test_webhook_kill.py

soak-sync: $(DEV) ## Kill shop, Refundry and network: REFUNDRY_SYNC_SECONDS=60 make soak-sync (600)
	REFUNDRY_SYNC_SECONDS=$${REFUNDRY_SYNC_SECONDS:-600} $(BIN)/python -m pytest -s \
	  tests/sync/test_soak.py

simulate: $(DEV) ## Simulate worlds until stopped: make simulate SIMULATE='--first 5000'
	$(BIN)/python -m tests.simulation --forever $(SIMULATE)

stress: $(DEV) ## 10 million operations of the queue, 200,000 refunds: COUNT=20000 make stress
	$(BIN)/python -m tests.stress queue
	$(BIN)/python -m tests.stress refunds --count $${COUNT:-200000}

clean: ## Remove what was installed and cached, not the data
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache build src/*.egg-info \
	  sync/build sync/src/*.egg-info
