# make demo   fine-tune the embedded encoder on real headlines, probe it, write a report
# make test   the tests that CI runs
# Both make a .venv of their own, with the versions in .ci/constraints.txt.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Waiting OpenMP threads must sleep; no test may reach a model hub.
ENV := OMP_WAIT_POLICY=PASSIVE
# Two test processes, one thread each: the tests' networks are too small for more.
TEST_ENV := $(ENV) OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1
DEMO_DIR ?= runs/bbc_topics/minilm_l6/seed-0

.PHONY: demo test test-slow test-all lint bench clean help

help:
	@sed -n '1,3s/^# //p' Makefile
	@echo "make test-slow / lint / bench / clean"

# Installed once; again when the requirements change.
$(VENV)/.demo: pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c .ci/constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c .ci/constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(ENV) $(BIN)/python train.py paths.runs_dir=runs
	$(ENV) $(BIN)/python probe.py run_dir=$(DEMO_DIR)

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(TEST_ENV) $(BIN)/python -m pytest -m "not slow and not gpu" -n 2 --dist loadfile

test-slow: $(VENV)/.dev
	$(TEST_ENV) $(BIN)/python -m pytest -m "slow"

test-all: test test-slow

lint: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(ENV) $(BIN)/python tests/benchmarks/bench_direct_probe.py

clean:
	rm -rf $(VENV) .cache build dist
