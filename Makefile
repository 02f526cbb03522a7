# Every target sets up what it needs, works twice, and works offline once `setup` has run.
VENV ?= .venv
PYTHON ?= python3.11
BIN := $(VENV)/bin
STAMP := $(VENV)/.sorakit-installed

.PHONY: help setup demo test test-all lab docs lint bench clean
help:
	@echo "make setup   environment in $(VENV)"
	@echo "make demo    generate, mark, sign, strip, recover and check; opens a report"
	@echo "make test    the tests (TESTS=path and ARGS=... narrow them)"
	@echo "make test-all  the same, and every notebook run as shipped and solved"
	@echo "make lab     JupyterLab on the notebooks"
	@echo "make docs    the site in docs/_build, notebooks with their outputs (minutes)"
	@echo "make lint    ruff, mypy --strict, import contracts, stripped notebooks"
	@echo "make bench   measure the README's table again (minutes to an hour)"

# torch first and exactly: a version range would pull gigabytes of CUDA libraries.
# invisible-watermark without its dependencies: it asks for a second OpenCV that breaks the first.
$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install -q --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[all]" --group dev
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps invisible-watermark==0.2.0
	@touch $@

setup: $(STAMP)

demo: setup
	$(BIN)/sorakit demo

TESTS ?= tests
test: setup
	$(BIN)/python -m pytest $(TESTS) -n 2 --dist worksteal -m "not course" $(ARGS)

test-all: setup
	$(BIN)/python -m pytest $(TESTS) -n 2 --dist worksteal $(ARGS)

lab: setup
	$(BIN)/sorakit lab

docs: setup
	$(BIN)/python -m sphinx -W --keep-going -c docs -b html . docs/_build $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/nbstripout --verify notebooks/*.ipynb

bench: setup
	for f in benchmarks/[a-z]*.py; do echo "== $$f"; $(BIN)/python $$f $(ARGS) || exit 1; done

clean:
	rm -rf $(VENV) docs/_build .mypy_cache .ruff_cache .pytest_cache sorakit-demo
