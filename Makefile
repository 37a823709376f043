# Two commands: `make validate` does the main job, `make test` proves it. Both set up what is missing first.
.DEFAULT_GOAL := help
VENV ?= .venv
JOBS ?= auto
CASES ?=
ARGS ?=
export VENV

.PHONY: help setup setup-dev validate test test-slow test-debian lint docs bench record doctor clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## R with its packages, a fit Python, the virtual environment: what is missing of it
	@sh setup.sh

validate: setup ## fit the tutorial's models in R and in Python, compare, report (CASES="M1 M3" for some of them)
	@$(VENV)/bin/python -m examples.tutorial validate $(CASES) $(ARGS)

setup-dev:
	@sh setup.sh dev

test: setup-dev ## the tests, live R required (ARGS="-k formula" for some of them)
	MLMPARITY_REQUIRE_R=1 $(VENV)/bin/python -m pytest -m "not slow" -n $(JOBS) --maxprocesses 4 --dist loadfile \
		--no-loadscope-reorder $(ARGS)

test-slow: setup-dev ## the campaigns that take minutes
	MLMPARITY_REQUIRE_R=1 $(VENV)/bin/python -m pytest -m slow --timeout=3600 $(ARGS)

test-debian: ## both commands in a fresh Debian, as a new user runs them (SUITE=bookworm, trixie, sid or here; needs root)
	@sh tests/debian.sh $(SUITE)

lint: setup-dev ## ruff, mypy, import-linter
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

docs: setup-dev ## the site, in site/index.html: generated parts compared, links checked (`make test-slow` runs the pages' code)
	$(VENV)/bin/python docs/generate.py --check
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

bench: setup-dev ## speed and memory beside R and other libraries, one run
	$(VENV)/bin/python -m benchmarks $(ARGS)

record: setup ## write the references anew from live R (about an hour)
	@$(VENV)/bin/python -m examples.tutorial record $(CASES) $(ARGS)

doctor: setup ## what of R and rpy2 is there, what is missing, and the command that mends it
	@$(VENV)/bin/mlmparity doctor

clean: ## the virtual environment and what tools left behind
	rm -rf $(VENV) mlmparity-report build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
