# Everything runs inside .venv, which the first command makes. `make help` lists the commands.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo images e2e test test-unit test-faults test-scale cover bench-decisions bench-flags bench-inference bench-inference-gpu screenshots check audit format generate lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## make the virtual environment (about 2 minutes, once)

$(VENV)/.ready: requirements.txt pyproject.toml
	@PYTHON="$(PYTHON)" bash scripts/setup $(VENV)

demo: setup ## the main job, live: a viral ramp, features go and come back (ARGS="--headless --report DIR")
	@$(BIN)/brownout-demo $(ARGS)

test: setup ## every test, on a real control plane (three processes, each with a cluster of its own)
	@$(BIN)/brownout-localcluster build
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=40 $(ARGS)

images: ## both container images, with Docker (docs/images.md says what they can be told)
	@scripts/images

e2e: setup ## the whole on kind: chart, images, Prometheus, users, faults, an upgrade (Docker and kind; docs/e2e.md)
	@$(BIN)/python -m pytest tests/e2e -p no:xdist --durations=0 $(ARGS)

test-unit: setup ## the tests that need no cluster (seconds)
	@$(BIN)/python -m pytest tests/unit $(ARGS)

test-faults: setup ## every fault for as long as it lasts in life: an API server gone for five minutes, and so on (an hour)
	@$(BIN)/brownout-localcluster build
	@BROWNOUT_TESTS=whole $(BIN)/python -m pytest tests/faults -n 2 --dist loadfile $(ARGS)

test-scale: setup ## the operator's figures with 1,000 and 10,000 models, and a soak of two hours, into benchmarks/results (BROWNOUT_SOAK_MINUTES=10 for a short one)
	@$(BIN)/brownout-localcluster build
	@BROWNOUT_TESTS=whole $(BIN)/python -m pytest tests/scale -s $(ARGS)

cover: setup ## the tests of the decisions take every branch of decide/ (a minute and a half; laws of loops add none, and are left out)
	@$(BIN)/python -m pytest tests/unit/decide $(patsubst %,--ignore tests/unit/decide/test_%.py,laws_closed laws_walk speed) \
		-n auto -q --cov --cov-report=term-missing:skip-covered $(ARGS)

bench-decisions: setup ## controllers compared in every scenario, into benchmarks/results (half an hour of processor time; ARGS="--quick")
	@$(BIN)/python benchmarks/decisions.py $(ARGS)

bench-flags: setup ## the flag server's figures beside their references, into benchmarks/results (10 minutes; needs wrk; ARGS="--quick")
	@$(BIN)/brownout-localcluster build
	@$(BIN)/python benchmarks/flags.py $(ARGS)

REFERENCES := .venv-references

bench-inference: setup $(REFERENCES)/.ready ## the inference server's figures beside LitServe, Ray Serve, FastAPI and a bare loop (three quarters of an hour; needs wrk; ARGS="--quick")
	@$(BIN)/python benchmarks/inference.py --references $(REFERENCES)/bin/python $(ARGS)

bench-inference-gpu: setup ## the engines on a GPU: steps, saturation, memory (6 minutes; needs one, or ARGS="--tiny")
	@$(BIN)/python benchmarks/inference_gpu.py $(ARGS)

$(REFERENCES)/.ready: benchmarks/references.txt $(VENV)/.ready
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(REFERENCES)
	@$(BIN)/uv pip sync --quiet --python $(REFERENCES)/bin/python --require-hashes benchmarks/references.txt
	@touch $@

screenshots: setup ## the pages' pictures for the README, from a demo under way (about 5 minutes; needs Chromium)
	@$(BIN)/python scripts/screenshots.py $(ARGS)

check: setup ## formatting, lint, types, import contracts, generated files, dependencies: what CI runs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m brownout.api.generate --check
	@$(BIN)/python scripts/dashboards.py --check
	@$(BIN)/python scripts/chart_reference.py --check
	@$(BIN)/python scripts/dependencies.py

audit: setup ## known vulnerabilities of the pinned dependencies, as PyPI's advisory database has them (needs the internet)
	@$(BIN)/uv tool run pip-audit --require-hashes --disable-pip --progress-spinner off -r requirements.txt $(ARGS)

format: setup ## format and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

generate: setup ## write crds/ from the typed API, the chart's dashboards from scripts/grafana, its schema and README from its values
	@$(BIN)/python -m brownout.api.generate
	@$(BIN)/python scripts/dashboards.py
	@$(BIN)/python scripts/chart_reference.py

LOCK_PART = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" -c requirements.txt

lock: setup ## pin every dependency anew, with hashes, in requirements.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --all-extras --group dev \
		--no-emit-index-url --custom-compile-command "make lock" -o requirements.txt pyproject.toml
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --extra inference --group references \
		--no-emit-index-url --custom-compile-command "make lock" -o benchmarks/references.txt -c requirements.txt pyproject.toml
	@$(LOCK_PART) -o operator/requirements.txt pyproject.toml
	@$(LOCK_PART) --extra inference --excludes inference/without-torch.txt -o inference/requirements.txt pyproject.toml
	@$(LOCK_PART) --extra inference -o inference/requirements-cuda.txt pyproject.toml
	@$(LOCK_PART) --group images -o scripts/image/requirements.txt

clean: ## remove the virtual environment and local outputs (the binaries' cache stays)
	rm -rf $(VENV) out .mypy_cache .ruff_cache .pytest_cache .hypothesis
