# Two commands are enough: `make demo` and `make test`. Each does all of its own set-up.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
WORKERS ?= 2
# Whole files, in the order of tests/conftest.py: what a file sets up once is set up in one process.
SHARED := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
OUTCOMES := .iwrs/validation/outcomes.json
PROOFS := .iwrs/validation/proofs.json

.PHONY: demo test validation lint template bench prove programs lock clean

demo: $(READY)  ## bring the whole system up, replay a simulated trial, serve until Ctrl-C
	$(BIN)/python -m trial.demo.story $(ARGS)

test: $(READY) programs  ## every check that a change has to pass
	$(MAKE) --no-print-directory -j 2 lint template
	$(BIN)/python -m pytest $(SHARED) -q -m "not slow" --outcomes $(OUTCOMES) $(ARGS)
	$(BIN)/python -m tests.validation.matrix check

validation: $(READY) programs  ## run the tests and record which requirement each of them proves
	$(BIN)/python -m pytest $(SHARED) -q -m "not slow" --outcomes $(OUTCOMES) $(ARGS)
	$(BIN)/python -m tests.validation.matrix record

lint: $(READY)  ## style, types, and which room may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	IWRS_SECRET_KEY=for-the-type-checker DATABASE_URL=postgresql://nobody@/none $(BIN)/mypy

template: $(READY)  ## the migrated database that the tests copy, unless it was made before
	$(BIN)/python -m tests.bootstrap

prove: $(READY) programs  ## slow proofs: large replays, long fault runs, advisories of what is locked
	$(BIN)/python -m pytest $(SHARED) -q -rs -m slow --proofs $(PROOFS) $(ARGS)

bench: $(READY)  ## ratios within one run
	$(BIN)/python -m bench.randomize $(ARGS)
	$(BIN)/python -m bench.audit
	$(BIN)/python -m bench.listing
	$(BIN)/python -m bench.allocate
	$(BIN)/python -m bench.simulate --database

# Debian's packages for the tests: a browser for the pages, curl and jq for what docs/api.md shows,
# unzip for an opened extract. What a machine has already stays as it is.
programs:
	@missing=$$(for name in chromium curl jq unzip; do command -v $$name >/dev/null || echo $$name; done); \
	test -z "$$missing" || { apt-get update -qq && apt-get install -y -qq $$missing; }

$(READY): requirements/dev.lock
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/dev.lock
	touch $@

lock:  ## pin every dependency again, with hashes and without an index address
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet pyproject.toml -o requirements/base.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet pyproject.toml --group dev -o requirements/dev.lock

clean:  ## remove the demonstration's state; the virtual environment stays
	rm -rf .iwrs
