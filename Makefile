# make demo   set everything up, run every task and say where to look
# make test   set everything up, check style and types, run the tests, but for the slow ones
#
# PYTHON  the Python to make the environment with (3.10 or newer)
# VENV    where the environment goes
# TORCH   what is installed as torch before everything else. pip's default build for Linux carries CUDA and
#         is several GB large; on a machine without a GPU give a CPU build as your package index names it,
#         for instance  make test TORCH='torch==2.13.0+cpu'  or a path to a wheel
# PYTEST_ARGS  arguments for pytest; default: -m 'not slow'. All tests, as .ci/run runs them:  make test PYTEST_ARGS=
# WORKERS  processes that tests run in; default: one a core, at most 8. WORKERS=0: all in one process

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
PYTEST_ARGS ?= -m 'not slow'
WORKERS ?= auto
DEMO ?= demo

BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test clean

demo: $(READY)
	@echo "[demo] running every task with the model that ships; some minutes on a CPU"
	@$(BIN)/python -m instructdiffusion demo -o $(DEMO)

test: $(READY)
	@echo "[test] style: ruff"
	@$(BIN)/ruff check .
	@echo "[test] types: mypy"
	@$(BIN)/mypy
	@# nodes/ reaches the package as its host does, by "..": from beside a folder that this one is a part of
	@place=$$(mktemp -d) && ln -s '$(CURDIR)' $$place/pack && cd $$place && \
		'$(abspath $(BIN))/mypy' --config-file pack/pyproject.toml -p pack.nodes; status=$$?; rm -r $$place; exit $$status
	@echo "[test] layers: import-linter"
	@$(BIN)/lint-imports --no-logo --no-cache
	@echo "[test] tests: pytest"
	@# a thread a process: they would wait for one another
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist loadfile $(PYTEST_ARGS)

$(READY): pyproject.toml
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "error: no '$(PYTHON)' found: install Python 3.10 or newer, or name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "error: '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | head -n 1), 3.10 or newer is needed: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "error: '$(PYTHON)' has no venv module: install it (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "[setup] environment in $(VENV), with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "error: the environment $(VENV) could not be made; see above" >&2; exit 1; }
	@echo "[setup] installing $(TORCH) (the largest package; some minutes)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check '$(TORCH)' || { echo "error: '$(TORCH)' could not be installed: is there a network? another build: make TORCH='torch>=2.4'" >&2; exit 1; }
	@echo "[setup] installing instructdiffusion and what its tests need"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[test]' || { echo "error: the packages could not be installed; see above" >&2; exit 1; }
	@# k-diffusion's samplers are what ours are held to; what it asks for beside them (training tools, CLIP) is not needed
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps 'k-diffusion==0.1.1.post1' || { echo "error: k-diffusion could not be installed; see above" >&2; exit 1; }
	@touch $(READY)

clean:
	@rm -rf $(VENV) $(DEMO) build dist *.egg-info
