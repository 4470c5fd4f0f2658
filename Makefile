# Two commands do all: `make book` and `make test`. Each makes the environment (.venv) that it needs.
RECIPE ?= micro
PYTHON ?= python3
VENV   ?= .venv
PORT   ?= 8000
SNAKEMAKE_ARGS ?=
PYTEST_ARGS ?=
WORKERS ?= 2

# A recipe is a name or a path; its outputs go by the name.
quoted = '$(subst ','\'',$(1))'
NAME := $(shell basename -s .yaml $(call quoted,$(RECIPE)))
PY := $(VENV)/bin/python
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help book check test lint lab serve student clean-outputs

help: ## what can be made
	@echo "make TARGET [RECIPE=micro]   recipes: $(basename $(notdir $(wildcard notebooks/recipes/*.yaml)))"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(VENV)/.done: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, found " + sys.version.split()[0] + "; set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

check: $(VENV)/.done ## validate a recipe
	@$(PY) -m scicot_utils check $(call quoted,$(RECIPE))

book: check ## run a recipe and build the book (default: micro)
	@$(PY) -m scicot_utils run $(call quoted,$(RECIPE)) $(SNAKEMAKE_ARGS)
	@$(PY) -m scicot_utils where $(call quoted,$(RECIPE))

test: $(VENV)/.done lint ## lint, unit and contract tests, the smoke recipe through to its book
	$(PY) -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/.done
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m snakefmt --check Snakefile
	lint-imports --no-cache

lab: $(VENV)/.done ## open the notebooks
	$(PY) -m jupyter lab notebooks

serve: ## serve the built book at http://localhost:8000
	@test -f outputs/$(NAME)/site/index.html || { echo "error: no book in outputs/$(NAME)/site; run: make book RECIPE=$(RECIPE)"; exit 1; }
	$(PY) -m http.server --bind 127.0.0.1 --directory outputs/$(NAME)/site $(PORT)

student: check ## pretrain the embedded student again (about half an hour)
	@$(PY) -m scicot_utils run $(call quoted,$(RECIPE)) outputs/$(NAME)/pretraining/main/micro/seed1/model $(SNAKEMAKE_ARGS)

clean-outputs: check ## delete what a recipe made, after asking
	@test -d outputs/$(NAME) || { echo "nothing to delete: there is no outputs/$(NAME)"; exit 0; }; \
	printf 'Delete outputs/$(NAME) with all its runs? The teacher cache stays. [y/N] '; \
	read answer; if [ "$$answer" = y ]; then rm -rf outputs/$(NAME); else echo kept; fi
