# Two commands matter: `make demo` (a small sweep and its report) and `make test`. Each sets itself up.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
SWEEP ?= sweeps/smart_turn-quick.yaml
PYTEST := $(BIN)/python -m pytest
export PYTHON

.PHONY: help setup setup-test setup-lab demo demo-stt test test-fast soak bench bench-gpu lab lint hooks audit clean

help: ## this list
	@while IFS= read -r line; do [[ $$line =~ ^([a-z-]+):.*\#\#\ (.*)$$ ]] && printf '  make %-10s %s\n' "$${BASH_REMATCH[1]}" "$${BASH_REMATCH[2]}" || true; done < Makefile

setup: ## .venv with what the demo needs
	@scripts/setup.sh demo

setup-test:
	@scripts/setup.sh test

setup-lab:
	@scripts/setup.sh lab

demo: setup ## a small Smart Turn sweep on this machine's CPU, then its HTML report
	@$(BIN)/yapbench sweep $(SWEEP)

demo-stt: setup ## the same for streaming speech-to-text: installs NeMo (2.2 GB), sweeps a small FastConformer
	@$(BIN)/yapbench install fastconformer
	@$(BIN)/yapbench sweep sweeps/fastconformer-quick.yaml

test: setup-test ## lint, types and every test but the soak
	@scripts/lint.sh
	@$(PYTEST) -m "not soak" $(ARGS)

test-fast: setup-test ## the tests that answer within three minutes
	@$(PYTEST) -m "not soak and not slow" $(ARGS)

soak: setup-test ## tests that take more than a minute each
	@$(PYTEST) -m soak --timeout 1800 $(ARGS)

bench: setup-test ## the benchmarks whose numbers stand in docs/decisions
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python "$$file"; done

bench-gpu: ## a GPU grid in BUDGET_S=480 seconds under PYTHON, which is used as it is; MODEL, DEVICE, OUT, ARGS
	@$(or $(PYTHON),python3) -m yapbench.benchgpu $(if $(BUDGET_S),--budget-s=$(BUDGET_S)) $(if $(MODEL),--model=$(MODEL)) \
	  $(if $(DEVICE),--device=$(DEVICE)) $(if $(OUT),--out=$(OUT)) $(ARGS)

lab: setup-lab ## JupyterLab on the notebooks, with a token; prints its address. LAB_IP=0.0.0.0 LAB_PORT=8888
	@exec $(BIN)/python -m yapbench.pod.lab $(ARGS)

lint: setup-test ## ruff and mypy; FIX=1 repairs what can be repaired
	@FIX=$(FIX) scripts/lint.sh

audit: ## every pinned package looked up in the advisory database (needs the network); ARGS go to pip-audit
	@scripts/audit.sh $(ARGS)

hooks: setup-test ## git hooks: strip notebook outputs, lint before a commit
	@git config core.hooksPath scripts/hooks && echo "hooks on (git config --unset core.hooksPath turns them off)"

clean: ## removes .venv and caches; keeps runs/ and reports/
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
