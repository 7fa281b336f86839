# Set-up, build and tests. Every target does the set-up that it needs; a second call is quick.
#   make sim CONTROLLER=greedy SLOTS=20      make test      make help

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help
.PHONY: help setup setup-train build sim test test-slow test-conversion test-learning lint format bench models clean distclean

FLEET ?= config/fleets/laptop.yaml
ENTER := source scripts/env.sh
# `make sim SLOTS=20` becomes `sec up ... --slots 20`; what is not set is not passed.
option = $(if $($(1)),--$(2) '$($(1))')
SIM_OPTIONS = $(call option,CONTROLLER,controller) $(call option,SCENARIO,scenario) \
  $(call option,SLOTS,slots) $(call option,SEED,seed) $(call option,SPEED,speed) \
  $(call option,IMAGES,images) $(call option,FAIL,fail) $(call option,RUN,run)

help: ## Show this list
	@echo 'make sim [CONTROLLER=...] [SCENARIO=...] [SLOTS=...] [SEED=...] [SPEED=...]'
	@echo '         [IMAGES=...] [FAIL=...] [RUN=...] [FLEET=config/fleets/laptop.yaml]'
	@echo
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' Makefile | expand -t 19

sim: build ## Fly the fleet on this machine: real ROS 2 nodes and inference, emulated radio
	@$(ENTER); exec sec up '$(FLEET)' $(strip $(SIM_OPTIONS))

test: build ## Formatting, lint, types and every test that takes seconds
	@scripts/test.sh

test-slow: build ## The tests that take minutes
	@$(ENTER); python -m pytest -m slow

test-conversion: setup-train ## The tests that need torch and transformers
	@.venv-train/bin/python -m pytest test/conversion

test-learning: setup-train ## The tests of the learners, which need torch
	@PYTHONPATH=. OMP_NUM_THREADS=1 .venv-train/bin/python -m pytest -m 'not slow' test/learning

lint: setup ## ruff and mypy only
	@scripts/test.sh --lint-only

format: setup ## Put the sources into the one format
	@.venv/bin/ruff check --fix-only --quiet .; .venv/bin/ruff format .

bench: build ## Measure what docs and README state
	@$(ENTER); python bench/environments/run.py; exec python bench/pipeline/run.py

models: setup-train ## Train the small models of models/ anew
	@export PYTHONPATH=. OMP_NUM_THREADS=1; .venv-train/bin/python tools/train_scene_classifier.py; \
	  exec .venv-train/bin/python tools/train_sea_mllm.py

setup: ## .venv with pinned requirements, and ROS 2 Kilted where none is sourced
	@scripts/setup.sh

setup-train: ## .venv-train with torch, for training only
	@scripts/setup.sh --train

build: ## colcon build into install/
	@scripts/build.sh

clean: ## Remove what was built
	@flock . rm -rf build install log .mypy_cache .ruff_cache .pytest_cache .hypothesis

distclean: clean ## Remove the environments as well
	@flock . rm -rf .venv .venv-train
