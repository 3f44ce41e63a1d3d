# The commands of this project. Each sets up what it needs.

CORES ?= 4
BENCH ?=
SOAK ?=
AGREEMENT ?= 10x40
BASE ?= main
STUDY ?= claims
OPTIONS ?=
BIN := .venv/bin
BRIDGE := $(BIN)/python workflow/scripts/dvc_bridge
# Stages call `python`, as everywhere in an activated environment.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# The first of these that TensorFlow has packages for; or choose: make PYTHON=/path/to/python
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo $$python && break; done)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes
# uv takes a third less time, but does not read pip's configuration, which may name a mirror or a
# certificate. So pip is used where it is configured, and where uv fails.
UV = pip_config="$$($(BIN)/python -m pip config list)" && test -z "$$pip_config" && \
	sed -n '/^uv==/,/[^\]$$/p' requirements-dev.txt | $(PIP) -r /dev/stdin && \
	$(BIN)/uv pip install -qq --python $(BIN)/python --require-hashes -r $<
INSTALL = @echo "installing the packages of $< into .venv (3 GB, minutes)"; { $(UV); } || $(PIP) -r $<
# pip would compile one file after the other; uncompiled, each import of TensorFlow takes 10 s more
# wherever PYTHONDONTWRITEBYTECODE is set. Some packages contain templates that are not valid Python.
COMPILE := @echo "compiling the packages"; $(BIN)/python -m compileall -qq -j 0 .venv/lib || true
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url \
	--quiet --custom-compile-command 'make lock'
# Remove from lock $2 what lock $1 contains, and let it include that lock instead.
ADD = awk -v base=$1 'BEGIN { print "-r " base } NR == FNR { known[$$0]; next } \
	/^[a-z0-9]/ { skip = $$0 in known } !skip' $1 $2 > $2.new && mv $2.new $2

.PHONY: all help test lint bench soak verify check why repair review study push pull slurm remotes lock \
	schema clean checkout site-cache
.DEFAULT_GOAL := all

all: site-cache ## run the pipeline on the real data; say where the report is
	$(BIN)/snakemake --cores $(CORES)
	@$(BIN)/python -Es workflow/scripts/summary.py reports

help: ## list these commands
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 14
	@echo "To use snakemake and dvc directly: source .venv/bin/activate"

test: .venv/installed-for-development ## run the whole test suite
	$(BIN)/pytest

lint: .venv/installed-for-development ## check style, types and the Snakefile
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile workflow/scripts/dvc_bridge/Snakefile workflow/scripts/dvc_bridge/rules.smk
	$(BIN)/mypy
	$(BIN)/snakemake --lint

soak: .venv/installed-for-development ## kill runs at random moments, do anything in any order; up to two hours
	PYTHONPATH=workflow/scripts:tests $(BIN)/python tests/pipeline/soak.py $(SOAK)
	AGREEMENT=$(AGREEMENT) $(BIN)/pytest --capture no --numprocesses 0 --timeout 0 tests/pipeline/test_agreement.py

bench: .venv/installed ## measure speed and memory; about three hours
	PYTHONPATH=workflow/scripts:tests $(BIN)/python benchmarks/run.py $(BENCH)

verify: site-cache ## read every file that DVC keeps; name what is corrupt
	@$(BRIDGE) verify

check: site-cache ## verify, and say whether both engines, reports and params agree
	@$(BRIDGE) verify; verified=$$?; $(BIN)/python -Es workflow/scripts/check.py && exit $$verified

why: site-cache ## say what changed for each stage that must run
	@$(BRIDGE) why

repair: site-cache ## repair what a killed DVC has left
	@$(BRIDGE) repair

review: site-cache ## Markdown for a pull request: what changed since BASE; FAIL=worse fails on worse
	@$(BIN)/python -Es workflow/scripts/review.py '$(BASE)' $(if $(FAIL),--fail '$(FAIL)') \
		$(if $(FIGURES),--figures '$(FIGURES)')

study: site-cache ## run studies/STUDY/params.yaml, beside the results that are here
	@$(BIN)/python -Es workflow/scripts/study.py prepare '$(STUDY)'
	cd 'studies/$(STUDY)/work' && '$(CURDIR)/$(BIN)/snakemake' --cores $(CORES) \
		$(if $(PROFILE),--profile '$(PROFILE)')
	@$(BIN)/python -Es workflow/scripts/study.py collect '$(STUDY)'

push: ## push all results to a DVC remote, also those of past runs
pull: ## pull them; OPTIONS="--remote NAME" for both
push pull: site-cache
	@$(BRIDGE) $@ $(OPTIONS)

slurm: ## add what a Slurm cluster needs
remotes: ## add what DVC remotes by SSH and S3 need
slurm remotes: .venv/installed-extras

lock: .venv/installed-for-development ## renew the locks after a change of pyproject.toml
	$(LOCK) --upgrade --all-extras --group dev --output-file requirements-dev.txt
	$(LOCK) --all-extras --constraint requirements-dev.txt --output-file requirements-extras.txt
	$(LOCK) --constraint requirements-dev.txt --output-file requirements.txt
	$(call ADD,requirements-extras.txt,requirements-dev.txt)
	$(call ADD,requirements.txt,requirements-extras.txt)

schema: .venv/installed ## renew what editors know of params.yaml
	$(BIN)/python -Es workflow/scripts/schema.py workflow/params.schema.json

clean: ## remove what can be made again, but for DVC's cache
	rm -rf .venv .snakemake logs models results data/raw data/subset data/params.checked studies/*/work

# Checked before anything is installed, as DVC would refuse it afterwards.
checkout:
	@{ git rev-parse --git-dir || test -e .git; } >/dev/null 2>&1 || { echo "error: $$PWD is not" \
		"a Git repository, as after downloading a ZIP file; \`git init\` is enough" >&2; exit 1; }

# What DVC remembers of files is pickled, by default in a folder that all users of a machine share.
# DVC cannot write paths with accents or quotes into its configuration: then it is below the home.
site-cache: .venv/installed
	@folder="$$PWD/.venv/cache"; case "$$folder" in \
		*[!A-Za-z0-9\ ._/@+~-]*) folder="$${XDG_CACHE_HOME:-$$HOME/.cache}/dvc-site-cache";; esac; \
	grep -qsF "site_cache_dir = $$folder/dvc" .dvc/config.local || { mkdir -p "$$folder" && \
		chmod 700 "$$folder" && $(BIN)/dvc config --quiet --local core.site_cache_dir "$$folder/dvc"; }

.venv/bin/python: | checkout
	@test -n "$(PYTHON)" || { echo "error: found no Python 3.11 to 3.13; install one," \
		"or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "making .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "error: $(PYTHON) cannot make virtual" \
		"environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

# Also where .venv was made by another tool, such as `uv venv`, which leaves pip out.
.venv/pip: | .venv/bin/python
	@$(BIN)/python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo \
		"error: .venv has $$($(BIN)/python --version), not 3.11 to 3.13; remove it: rm -r .venv" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null 2>&1 || \
		{ echo "error: .venv has no pip, and none can be added; remove it: rm -r .venv" >&2; exit 1; }
	@rm -f .venv/lib/python*/site-packages/environment.pth # of earlier versions
	@touch $@

.venv/installed: requirements.txt | .venv/pip
	$(INSTALL)
	$(COMPILE)
	@touch $@

.venv/installed-extras: requirements-extras.txt requirements.txt | .venv/pip
	$(INSTALL)
	$(COMPILE)
	@touch .venv/installed $@

.venv/installed-for-development: requirements-dev.txt requirements-extras.txt requirements.txt | .venv/pip
	$(INSTALL)
	$(COMPILE)
	@touch .venv/installed $@
