# Two commands are all a reader of the README needs: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin

.PHONY: demo test test-peers lint check sanitize peers clean

demo: $(VENV)/.installed
	@echo "== learnedrecon demo (about five minutes on two cores)"
	@$(BIN)/learnedrecon demo --output runs/demo

# The tests start many programs, each of which would compile what keeps no bytecode.
test: $(VENV)/.installed lint
	@echo "== tests"
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist worksteal

# The adapters to deepinv and ASTRA, in the environment that has them; a missing one fails.
test-peers: $(PEERS)/.installed
	@echo "== tests against deepinv and ASTRA"
	@LEARNEDRECON_PEERS=1 $(PEERS)/bin/python -m pytest -n 0 tests/peers

lint: $(VENV)/.installed
	@echo "== ruff and mypy"
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

check: test

# The compiled kernels under AddressSanitizer and UndefinedBehaviorSanitizer (a quarter of an hour).
# Without `site`, so that the editable install does not hide the sanitized copy of the package.
SANITIZED := build/sanitize
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1

sanitize: $(VENV)/.installed
	@echo "== building in $(SANITIZED)"
	@$(BIN)/python -m cmake --version > /dev/null 2>&1 && cmake="$(BIN)/python -m cmake" || cmake=cmake; \
	$$cmake -S . -B $(SANITIZED) -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS="$(SANITIZE)" -DLEARNEDRECON_OPTIMISE=-O1 \
	  -DPython_EXECUTABLE=$(abspath $(BIN)/python) \
	  -Dnanobind_DIR=$$($(BIN)/python -m nanobind --cmake_dir) > /dev/null && \
	$$cmake --build $(SANITIZED) --parallel 2 && rm -rf $(SANITIZED)/site && \
	cp -r src $(SANITIZED)/site && rm -f $(SANITIZED)/site/learnedrecon/kernels/_joseph* && \
	$$cmake --install $(SANITIZED) --prefix $(SANITIZED)/site
	@echo "== tests/kernels"
	@LD_PRELOAD="$$($${CXX:-g++} -print-file-name=libasan.so) $$($${CXX:-g++} -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 OMP_NUM_THREADS=1 \
	PYTHONPATH=$(SANITIZED)/site:$$($(BIN)/python -c 'import sys; print(":".join(p for p in sys.path if "packages" in p))') \
	$(BIN)/python -S -m pytest -n 0 -q -p no:cacheprovider tests/kernels

$(VENV)/.installed: requirements.lock pyproject.toml CMakeLists.txt $(wildcard cpp/*.* cpp/*/*)
	@echo "== setting up $(VENV) (a minute or two the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "learnedrecon needs Python 3.11 or newer; found %s. Try: make PYTHON=python3.11 ..." % sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# What the benchmarks compare with, in an environment of its own beside the same torch.
peers: $(PEERS)/.installed
	@echo "== $(PEERS)/bin/python -m benchmarks.ray_transform runs the comparison"

$(PEERS)/.installed: requirements.lock benchmarks/peers.txt pyproject.toml CMakeLists.txt $(wildcard cpp/*.* cpp/*/*)
	@echo "== setting up $(PEERS) (about two minutes the first time)"
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/peers.txt
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf $(VENV) $(PEERS) build runs .pytest_cache .mypy_cache .ruff_cache
