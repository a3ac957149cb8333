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

.PHONY: demo test test-slow test-all lint bench audit clean help

help:
	@sed -n '1,3s/^# //p' Makefile
	@echo "make test-slow / lint / bench (25 minutes on 2 quiet cores) / audit (needs the network) / clean"

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

# With Hugging Face's Trainer, which training is compared with.
$(VENV)/.bench: $(VENV)/.dev
	$(PIP) install -q -c .ci/constraints.txt -e '.[bench]'
	@touch $@

# The engine's workloads; training against two other loops; snapshots against a bare pass. Figures go to stdout.
bench: $(VENV)/.bench
	$(ENV) $(BIN)/python tests/benchmarks/bench_direct_probe.py
	$(ENV) $(BIN)/python tests/benchmarks/bench_training.py
	$(ENV) $(BIN)/python tests/benchmarks/bench_snapshots.py --rounds 2

# Known vulnerabilities of what is pinned, and ruff's security rules. Packages that the advisory service does not
# know are an error, too: without the network nothing would be found.
audit: $(VENV)/.dev
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install -q "pip-audit>=2.9"
	$(VENV)/audit/bin/pip-audit --strict --no-deps --disable-pip -r .ci/constraints.txt
	$(BIN)/ruff check --select S .

clean:
	rm -rf $(VENV) .cache build dist
