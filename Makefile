# Two commands are all a reader of the README needs: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin

.PHONY: demo test test-peers lint check peers clean

demo: $(VENV)/.installed
	@echo "== learnedrecon demo (about five minutes on two cores)"
	@$(BIN)/learnedrecon demo --output runs/demo

test: $(VENV)/.installed lint
	@echo "== tests"
	@$(BIN)/python -m pytest -n 2 --dist worksteal

# The adapters to deepinv and ASTRA, in the environment that has them; a missing one fails.
test-peers: $(PEERS)/.installed
	@echo "== tests against deepinv and ASTRA"
	@LEARNEDRECON_PEERS=1 $(PEERS)/bin/python -m pytest -n 0 tests/peers

lint: $(VENV)/.installed
	@echo "== ruff and mypy"
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

check: test

$(VENV)/.installed: requirements.lock pyproject.toml CMakeLists.txt $(wildcard cpp/*)
	@echo "== setting up $(VENV) (a minute or two the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "learnedrecon needs Python 3.11 or newer; found %s. Try: make PYTHON=python3.11 ..." % sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# What the benchmarks compare with, in an environment of its own beside the same torch.
peers: $(PEERS)/.installed
	@echo "== $(PEERS)/bin/python benchmarks/ray_transform.py runs the comparison"

$(PEERS)/.installed: requirements.lock benchmarks/peers.txt pyproject.toml CMakeLists.txt $(wildcard cpp/*)
	@echo "== setting up $(PEERS) (about two minutes the first time)"
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/peers.txt
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf $(VENV) $(PEERS) build runs .pytest_cache .mypy_cache .ruff_cache
