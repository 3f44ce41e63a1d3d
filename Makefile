# The commands of this project. Each sets up what it needs.

CORES ?= 4
BENCH ?=
SOAK ?=
AGREEMENT ?= 10x40
BASE ?= main
BIN := .venv/bin
# The first of these that TensorFlow has packages for; or choose: make PYTHON=/path/to/python
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo $$python && break; done)
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --no-compile --require-hashes
# pip would compile one file after the other; uncompiled, each import of TensorFlow takes 10 s more
# wherever PYTHONDONTWRITEBYTECODE is set. Templates among the packages are no valid Python.
COMPILE := @echo "compiling the packages"; $(BIN)/python -m compileall -qq -j 0 .venv/lib || true
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url \
	--quiet --custom-compile-command 'make lock'

.PHONY: all help test lint bench soak verify check review slurm remotes lock schema clean
.DEFAULT_GOAL := all

all: .venv/installed ## run the pipeline on the real data; say where the report is
	$(BIN)/snakemake --cores $(CORES)
	@$(BIN)/python workflow/scripts/summary.py reports

help: ## list these commands
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 14
	@echo "To use snakemake and dvc directly: source .venv/bin/activate"

test: .venv/installed-for-development ## run the whole test suite
	$(BIN)/pytest

lint: .venv/installed-for-development ## check style, types and the Snakefile
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile
	$(BIN)/mypy
	$(BIN)/snakemake --lint

soak: .venv/installed-for-development ## kill runs at random moments, do anything in any order; up to two hours
	PYTHONPATH=workflow/scripts $(BIN)/python tests/soak.py $(SOAK)
	AGREEMENT=$(AGREEMENT) $(BIN)/pytest --capture no --numprocesses 0 --timeout 0 tests/test_agreement.py

bench: .venv/installed ## measure speed and memory; about three hours
	PYTHONPATH=workflow/scripts $(BIN)/python benchmarks/run.py $(BENCH)

verify: .venv/installed ## read every file that DVC keeps; name what is damaged
	@$(BIN)/python workflow/scripts/verify.py

check: .venv/installed ## verify, and say whether both engines, reports and params agree
	@$(BIN)/python workflow/scripts/verify.py; verified=$$?; \
		$(BIN)/python workflow/scripts/check.py && exit $$verified

review: .venv/installed ## Markdown for a pull request: what changed since BASE, what is noise
	@$(BIN)/python workflow/scripts/review.py '$(BASE)' $(if $(FIGURES),--figures '$(FIGURES)')

slurm remotes: .venv/installed-extras ## add what a Slurm cluster, or DVC remotes by SSH and S3, need

lock: .venv/installed-for-development ## renew the locks after a change of pyproject.toml
	$(LOCK) --upgrade --all-extras --group dev --output-file requirements-dev.txt
	$(LOCK) --all-extras --constraint requirements-dev.txt --output-file requirements-extras.txt
	$(LOCK) --constraint requirements-dev.txt --output-file requirements.txt

schema: .venv/installed ## renew what editors know of params.yaml
	$(BIN)/python workflow/scripts/schema.py workflow/params.schema.json

clean: ## remove what can be made again, but for DVC's cache
	rm -rf .venv .snakemake logs models results data/raw data/subset data/params.checked

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "error: found no Python 3.11 to 3.13; install one," \
		"or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "making .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "error: $(PYTHON) cannot make virtual" \
		"environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

.venv/environment: workflow/environment.pth | .venv/bin/python
	@cp $< "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
	@mkdir -p .venv/cache/dvc && mkdir -p -m 700 .venv/cache/dvc/repo # DVC would let everybody write there
	@touch $@

.venv/installed: requirements.txt | .venv/environment
	$(INSTALL) -r requirements.txt
	$(COMPILE)
	@touch $@

.venv/installed-extras: requirements-extras.txt | .venv/environment
	$(INSTALL) -r requirements-extras.txt
	$(COMPILE)
	@touch .venv/installed $@

.venv/installed-for-development: requirements-dev.txt | .venv/environment
	$(INSTALL) -r requirements-dev.txt
	$(COMPILE)
	@touch .venv/installed $@
