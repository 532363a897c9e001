# Every task of this project. `make help` lists them.

PYTHON ?= python3.11
BIN := .venv/bin
# Files whose change means that something must be installed again.
PINS := requirements.txt requirements-training.txt requirements-dev.txt constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo run worker beat test test-slow check format coverage bench clients calibrate lock clean

help: ## List these tasks
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/ready ## Make the virtual environment and install everything

# Most modules are never imported; those that are, are compiled then.
.venv/ready: $(PINS)
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed ($(PYTHON) was not found)."; exit 1; }
	@echo "Installing into .venv; the first time takes some minutes, PyTorch above all."
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar on \
		--no-compile -r requirements-dev.txt
	touch $@

demo: setup ## Set up, run the simulated shop end to end, leave the site running
	$(BIN)/python manage.py dev --then demo

run: setup ## Run the site with web, worker and beat on this machine
	$(BIN)/python manage.py dev

worker: setup ## Run one more worker, on the servers that `make run` started or DATABASE_URL names
	$(BIN)/celery -A config worker --loglevel INFO --concurrency 1 --pool solo -Q celery,training

beat: setup ## Run the clock alone, on servers of your own
	$(BIN)/celery -A config beat --loglevel INFO --scheduler celery.beat:Scheduler

test: setup ## Run the tests
	$(BIN)/pytest -n 2 --dist loadgroup

test-slow: setup ## Run the calibrations and long stories too
	$(BIN)/pytest -n 2 --dist loadgroup -m "not gpu" -o faulthandler_timeout=0

coverage: setup ## Run the tests and hold branch coverage to its floors
	$(BIN)/pytest -n 2 --dist loadgroup --cov --cov-report=term --cov-report=json:.coverage.json
	$(BIN)/python tests/coverage_floors.py .coverage.json

check: setup ## Lint, types, borders, migrations, deployment settings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python -W ignore manage.py makemigrations --check --dry-run
	SECRET_KEY=$$($(BIN)/python -c "import secrets; print(secrets.token_urlsafe(64))") \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

format: setup ## Put every file in its shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## Measure deciding, comparing and analysing against named floors and peers
	$(BIN)/python -m benchmarks.decide
	$(BIN)/python -m benchmarks.decide_costs
	$(BIN)/python -m benchmarks.payload
	$(BIN)/python -m benchmarks.ingest
	$(BIN)/python -m benchmarks.report
	$(BIN)/python -m benchmarks.statistics
	$(BIN)/python -m benchmarks.moments
	$(BIN)/python -m benchmarks.audiences
	$(BIN)/python -m benchmarks.caps
	$(BIN)/python -m benchmarks.sending
	$(BIN)/python -m benchmarks.killing
	$(BIN)/python -m benchmarks.machines
	$(BIN)/python -m benchmarks.customer_page
	$(BIN)/python -m benchmarks.offpolicy
	$(BIN)/python -m benchmarks.rank_speed
	$(BIN)/python -m benchmarks.choosing
	$(BIN)/python -m benchmarks.propensities

clients: setup ## Put published client libraries through everything, and kill servers meanwhile
	$(BIN)/python -m benchmarks.parity
	$(BIN)/python -m benchmarks.conformance parity
	$(BIN)/python -m benchmarks.conformance gherkin
	$(BIN)/python -m benchmarks.conformance schemathesis
	$(BIN)/python -m benchmarks.bandits
	$(BIN)/python -m benchmarks.delivery
	$(BIN)/python -m benchmarks.outage
	$(BIN)/python -m benchmarks.upgrading

calibrate: setup ## Simulate thousands of experiments and write how well promises are kept
	$(BIN)/python -m experiments.calibration --write docs/calibration.md

lock: setup ## Write the exact versions of everything that is installed
	rm -rf .lock && $(PYTHON) -m venv .lock
	sed 's/^-c .*//' requirements.txt > .lock/requirements.txt
	sed 's/^-c .*//' requirements-training.txt > .lock/requirements-training.txt
	sed 's/^-c .*//' requirements-dev.txt > .lock/requirements-dev.txt
	.lock/bin/python -m pip install --quiet -r .lock/requirements-dev.txt
	.lock/bin/python -m pip freeze | sed "s/+cpu$$//" > constraints.txt
	rm -rf .lock

clean: ## Remove the demo's data and every cache; the virtual environment stays
	rm -rf .data .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache staticfiles .coverage*
