# Everything builds on `install`; every target may be repeated.
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
STAMP := .venv/.installed
# Two processes, each with the services that its tests need; what takes longest begins first.
BESIDE := -n 2 --no-loadscope-reorder

.PHONY: install demo test test-all faults check format bench lock clean

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fitstream needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	@echo "Installing the locked packages (the first time fetches about 3 GB, most of it torch) ..."
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --python $(BIN)/python --no-deps --editable .
	@$(BIN)/python -m fitstream.stack.jars
	@touch $(STAMP)

demo: install
	@$(BIN)/fitstream demo --data demo-data $(if $(DEMO_EXIT),--exit)

test: install
	@$(BIN)/pytest $(BESIDE) -m "not slow"

test-all: install
	@$(BIN)/pytest $(BESIDE)

faults: install
	@$(BIN)/pytest tests/faults

check: install
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/codespell

format: install
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: install
	@$(BIN)/python -m benchmarks

lock:
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url --output-file requirements.lock

clean:
	@test ! -f demo-data/run.json || $(BIN)/fitstream down --data demo-data
	rm -rf .venv demo-data build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
