# The commands of this project. `make check` is the gate before every commit.
PYTHON ?= python

.PHONY: help install run style types test check slow browser postgres all bounds bench soak map lock licences audit \
  clean

help:
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12

install: ## the app and the developer's tools into the current environment
	$(PYTHON) -m pip install -r requirements-dev.txt

run: ## the app
	$(PYTHON) -m streamlit run app.py

style: ## format and lint, nothing changed
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

types: ## mypy --strict
	$(PYTHON) -m mypy .

test: ## the fast tests, in Chromium and on PostgreSQL too where they are found
	$(PYTHON) -m pytest

check: style types test ## the gate: style, types, fast tests

slow: ## tests of more than a few seconds
	$(PYTHON) -m pytest -m "slow and not browser and not postgres and not soak"

browser: ## tests in Chromium
	$(PYTHON) -m pytest -m "browser and not soak"

postgres: ## tests against a PostgreSQL server
	$(PYTHON) -m pytest -m "postgres and not soak"

all: style types ## everything CI runs but the installation
	$(PYTHON) -m pytest -m "not soak"

bounds: ## the kernels' tests with every index checked
	bash .ci/bounds

bench: ## side-by-side measurements, written to benchmarks/RESULTS.md
	$(PYTHON) -m benchmarks

soak: ## load, endurance, every fault, kills, fuzzing: an hour; reports in benchmarks/reports
	$(PYTHON) -m benchmarks.soak

map: ## ARCHITECTURE.md's map of files again, from the modules' first sentences
	$(PYTHON) docs/make_map.py

lock: ## requirements.lock again, from requirements-dev.txt
	$(PYTHON) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make lock" -o requirements.lock requirements-dev.txt

licences: ## docs/licences.md again, from requirements.lock and the packages installed
	$(PYTHON) docs/make_licences.py

audit: ## known vulnerabilities in the locked packages
	$(PYTHON) -m pip_audit -r requirements.lock --require-hashes --disable-pip --progress-spinner off

clean: ## caches and artefacts, never the database
	rm -rf artefacts .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
