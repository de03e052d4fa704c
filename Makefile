.DEFAULT_GOAL := help
VENV ?= .venv
PYTHON := $(VENV)/bin/python
COMMAND := $(VENV)/bin/batch-runner
READY := $(VENV)/.ready
WORKERS ?= 4
SECONDS ?= 600
JOB ?= jobs/year_of_the_horse.yaml

.PHONY: help
help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(COMMAND): pyproject.toml
	test -x $(PYTHON) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --editable '.[fast]'
	@touch $@

$(READY): $(COMMAND)
	$(PYTHON) -m pip install --quiet --upgrade 'pip>=25.1'
	$(PYTHON) -m pip install --quiet --group dev
	@touch $(READY)

.PHONY: install
install: $(READY)  ## Make the virtual environment with the package and its tools

.PHONY: run
run: $(COMMAND)  ## Rehearse the example job on the built-in simulator: pictures, free, no key
	$(COMMAND) run $(JOB) --rehearse

.PHONY: format
format: $(READY)  ## Format the code and apply lint fixes
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

.PHONY: catalogues
catalogues: $(READY)  ## Update the Chinese messages (.po, .mo) from the code
	$(PYTHON) -m tests.harness.catalogues

.PHONY: reference
reference: $(READY)  ## Update the generated parts of batch_runner/docs from the code
	$(PYTHON) -m tests.harness.reference

.PHONY: docs
docs: $(READY)  ## Make a site of batch_runner/docs in build/docs; a broken link is an error
	$(PYTHON) -m mkdocs build --strict --config-file .github/mkdocs.yml

.PHONY: lint
lint: $(READY)  ## Check format, lint rules and import layers
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(VENV)/bin/lint-imports

.PHONY: types
types: $(READY)  ## Check types (mypy --strict)
	$(PYTHON) -m mypy

.PHONY: test
test: $(READY)  ## Run the tests, about ten minutes on 2 cores; make test ARGS='-k poller'
	@echo 'All tests take about ten minutes on 2 cores that do nothing else.'
	$(PYTHON) -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

.PHONY: cover
cover: $(READY)  ## Run the tests and hold the coverage floor
	$(PYTHON) -m coverage erase
	$(PYTHON) -m coverage run -m pytest -n $(WORKERS) --dist worksteal
	$(PYTHON) -m coverage combine --quiet
	$(PYTHON) -m coverage report

.PHONY: check
check: lint types docs cover  ## All that CI checks

.PHONY: soak
soak: $(READY)  ## Sweep kills and faults for SECONDS (default 600), and run the long tests
	$(PYTHON) -m tests.crash --seconds $$(($(SECONDS) / 4))
	$(PYTHON) -m tests.crash.soak --seconds $$(($(SECONDS) * 3 / 4))
	$(PYTHON) -m pytest -n $(WORKERS) -m soak

.PHONY: cluster-demo
cluster-demo: $(READY)  ## Show a cluster under failures, five minutes; needs PostgreSQL
	$(PYTHON) -m tests.cluster

.PHONY: bench
bench: $(READY)  ## Measure against the budget; make bench ONE='cpu rate', ONE=soak
	$(PYTHON) -m tests.bench $(ONE)

.PHONY: simulate
simulate: $(COMMAND)  ## Run the service simulator on port 8765
	$(COMMAND) simulate --port 8765

.PHONY: clean
clean:  ## Remove caches and build output
	rm -rf build dist htmlcov .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
