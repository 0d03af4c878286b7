# Two commands for a newcomer: `make demo` and `make test`. Each sets up everything it needs in .venv.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check format clean system

demo: $(STAMP)
	$(BIN)/muybridge doctor
	bash docs/demo.sh $(BIN)

test: $(STAMP) system
	$(BIN)/python -m pytest

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_laws.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Programs that tests use beside Python packages: a PostgreSQL server, software OpenGL, espeak as a G2P reference.
system:
	@bash .ci/system

$(STAMP): pyproject.toml .ci/install
	PYTHON=$(PYTHON) bash .ci/install $(VENV)
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build *.egg-info
