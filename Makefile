# Every target creates and uses .venv itself. Outside Python only g++, make and perl are needed.
# `make help` prints what stands behind ## here.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help venv demo board-demo test test-all formal lint bench verilog sim train bitstream load \
        doctor clean distclean docs test-report test-front-extra test-python lock audit wheel

## PYTHON: the Python that environments are made of
PYTHON ?= $(shell command -v python3.11 || command -v python3)
## TORCH: cpu: the small one, from PyTorch's CPU index; skip: the one that is installed; default: PyPI's, for CUDA
TORCH ?= default
## EXAMPLE: what verilog, sim, train, bitstream and load work on
EXAMPLE ?= examples/mnist
## IMAGES: images of sim
IMAGES ?= 1000
## BOARD: the board of bitstream and load
BOARD ?= ulx3s-85f
## PORT: serial port of that board
PORT ?= /dev/ttyUSB0
## WORKERS: tests and proofs side by side
WORKERS ?= 2
## TESTS: more paths and options for pytest, in test, test-all and test-python
TESTS ?=
## VENV: the environment
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# `make -j` must not reach Verilator's own make; pip must not ask.
unexport MAKEFLAGS MFLAGS MAKELEVEL
export PIP_DISABLE_PIP_VERSION_CHECK = 1

ifeq ($(TORCH),cpu)
TORCH_INDEX := https://download.pytorch.org/whl/cpu
TORCH_CPU := 2.13.0+cpu
PIP_TORCH := --extra-index-url $(TORCH_INDEX) 'torch==$(TORCH_CPU)'
endif
ifeq ($(TORCH),skip)
VENV_FLAGS := --system-site-packages
endif

VARIABLES := PYTHON TORCH EXAMPLE IMAGES BOARD PORT WORKERS TESTS VENV

help:  ## this list
	@echo "make TARGET [VARIABLE=value ...]"; echo
	@sed -nE 's/^([a-z-]+):.*  ## (.*)/\1\t\2/p' Makefile | while IFS=$$'\t' read -r name text; do \
	    printf '  %-17s %s\n' "$$name" "$$text"; done
	@echo; echo "variables, with what they are here:"
	@$(foreach v,$(VARIABLES),printf '  %-17s %s (%s)\n' $(v) \
	    "$$(sed -n 's/^## $(v): //p' Makefile)" '$($(v))';)

venv: $(STAMP)  ## .venv, which the other targets use, with every extra

# $(call new-venv,FOLDER,FLAGS): an environment of $(PYTHON). Without Debian's python3-venv there is
# no ensurepip, but pip itself can still fill one.
define new-venv
test -x $(1)/bin/python || \
if "$(PYTHON)" -c 'import ensurepip' 2>/dev/null; then \
    "$(PYTHON)" -m venv $(2) $(1); \
else \
    "$(PYTHON)" -m venv --without-pip $(2) $(1) && \
    "$(PYTHON)" -m pip --python $(1)/bin/python install -q pip; \
fi
endef

# $(call torch-there,FOLDER): with TORCH=cpu one look at its index, which pip install would try for
# minutes; none where that torch is installed.
define torch-there
@test "$(TORCH)" != cpu || $(1)/bin/python -m pip list 2>/dev/null | grep -q '^torch  *$(TORCH_CPU)' || \
$(1)/bin/python -m pip index versions torch --index-url $(TORCH_INDEX) --retries 0 --timeout 15 2>/dev/null | \
    grep -qF '$(TORCH_CPU)' || \
    { echo "make: no torch $(TORCH_CPU) at $(TORCH_INDEX), or that cannot be reached from here; leave \
TORCH=cpu out for PyPI's torch, or install a torch and say TORCH=skip" >&2; exit 3; }
endef

# SpikingJelly comes without what it asks for (torchvision, torchaudio, TensorBoard ...): its neurons
# and layers, which imports are compared with, need of it only what `dev` names. NeuroBench's metrics,
# which counts are compared with, need none of what it asks for (tonic, numba, torchaudio).
$(STAMP): constraints.txt pyproject.toml setup.py
	@test -n "$(PYTHON)" || { echo "python3 is missing; run: apt install python3.11" >&2; exit 3; }
	@"$(PYTHON)" gen/tools/doctor.py --first
	$(call new-venv,$(VENV),$(VENV_FLAGS))
ifeq ($(TORCH),skip)
	@$(BIN)/python -c 'import torch' 2>/dev/null || \
	    { echo "TORCH=skip, but no torch is installed; install one or leave TORCH out" >&2; exit 3; }
	grep -v '^torch==' constraints.txt > $(VENV)/constraints.txt
else
	cp constraints.txt $(VENV)/constraints.txt
endif
	$(call torch-there,$(VENV))
	$(BIN)/python -m pip install -q -c $(VENV)/constraints.txt setuptools wheel $(PIP_TORCH)
	$(BIN)/python -m pip install -q -c $(VENV)/constraints.txt --no-build-isolation -e '.[dev]'
	$(BIN)/python -m pip install -q --no-deps spikingjelly==2.0.0 neurobench==2.3.0
	touch $@

demo: $(STAMP)  ## the shipped digits network on held-out images, bit-exact
	$(BIN)/sterna demo

board-demo: $(STAMP)  ## a simulated board: weights, images, other weights, images
	$(BIN)/sterna board-demo

# --basetemp inside the repository: the YoWASP programs do not see /tmp.
test: $(STAMP)  ## every quick test
	@mkdir -p build
	$(BIN)/python -m pytest -n $(WORKERS) --no-loadscope-reorder --basetemp=build/pytest $(TESTS)

test-all: $(STAMP)  ## every test, those of minutes too, and the share of lines that ran
	@mkdir -p build
	$(BIN)/python -m pytest -n $(WORKERS) --no-loadscope-reorder --basetemp=build/pytest -m 'not extra and not browser' --cov --cov-report= $(TESTS)
	@echo "$$($(BIN)/coverage report --format=total)% of the lines ran (programs that tests start are not counted)"

# The same tests under another Python, in an environment of its own; TESTS=.. for some of them.
test-python:  ## the quick tests under another Python, in .venv-VERSION
	@version=$$("$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || \
	    { echo "PYTHON=$(PYTHON) does not run; give another one, or its path" >&2; exit 3; }; \
	$(MAKE) --no-print-directory test PYTHON="$(PYTHON)" VENV=.venv-$$version TORCH="$(TORCH)" \
	    WORKERS="$(WORKERS)" TESTS="$(TESTS)"

# report.html and the datasheet in headless Chromium, which is the system's: it draws, fits a phone, sorts, prints.
test-report: $(STAMP)  ## report.html and the datasheet in headless Chromium, which is the system's
	@mkdir -p build
	$(BIN)/python -m pytest -m browser --basetemp=build/pytest-report tests/gen/report/browser
	@echo "screenshots: build/pytest-report"

# Frameworks that ask for other versions of what everything else uses, in an environment of its own.
test-front-extra: .venv-front/.installed  ## tests with Brevitas and Lightning, in .venv-front
	@mkdir -p build
	.venv-front/bin/python -m pytest -m extra --basetemp=build/pytest-front tests/front/extra

.venv-front/.installed: constraints.txt pyproject.toml setup.py
	$(call new-venv,.venv-front,)
	grep -v '^setuptools==' constraints.txt > .venv-front/constraints.txt
	$(call torch-there,.venv-front)
	.venv-front/bin/python -m pip install -q -c .venv-front/constraints.txt 'setuptools>=77,<81' wheel $(PIP_TORCH)
	.venv-front/bin/python -m pip install -q -c .venv-front/constraints.txt --no-build-isolation -e '.[dev]' \
	    brevitas==0.13.4 onnxoptimizer lightning==2.6.6
	touch $@

formal: $(STAMP)  ## the proofs
	$(BIN)/python -m sterna.sim.formal --workers $(WORKERS)

lint: $(STAMP)  ## ruff, pyright, Verilator's warnings on an example
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/sterna lint examples/digits

bench: $(STAMP)  ## the figures of docs/measured.md and docs/performance.md
	$(BIN)/python -m benchmarks

verilog: $(STAMP)  ## Verilog of EXAMPLE
	$(BIN)/sterna verilog $(EXAMPLE)

sim: $(STAMP)  ## EXAMPLE simulated, every spike compared with golden
	$(BIN)/sterna sim $(EXAMPLE) --images $(IMAGES)

train: EXAMPLE = examples/digits
train: $(STAMP)  ## train EXAMPLE (examples/digits unless you say another)
	$(BIN)/sterna train $(EXAMPLE) -o build/train/$(notdir $(EXAMPLE))

bitstream: $(STAMP)  ## bitstream of EXAMPLE for BOARD
	$(BIN)/sterna bitstream $(EXAMPLE) --board $(BOARD)

load: $(STAMP)  ## weights of EXAMPLE into the board at PORT
	$(BIN)/sterna load build/$(notdir $(EXAMPLE))-$(BOARD) --port $(PORT)

doctor: $(STAMP)  ## what is installed, and what installs the rest
	$(BIN)/sterna doctor

# The site, into build/site: API pages from docstrings, every link checked.
docs: .venv-docs/.installed  ## the site, build/site
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict
	@echo build/site/index.html

# An environment of its own: pages are made without importing what they describe, so without torch.
.venv-docs/.installed: constraints.txt pyproject.toml setup.py
	$(call new-venv,.venv-docs,)
	.venv-docs/bin/python -m pip install -q -c constraints.txt setuptools wheel
	.venv-docs/bin/python -m pip install -q -c constraints.txt --no-build-isolation -e '.[docs]'
	touch $@

# What is installed, with hashes: of every extra, for every system and Python (of 3.11 from 3.11.5
# on, which the documentation's theme needs).
lock: .venv-tools/.installed  ## requirements.lock, for who changes a dependency
	.venv-tools/bin/uv pip compile pyproject.toml --all-extras -c constraints.txt --universal \
	    --python-version 3.11.5 --generate-hashes --no-annotate --no-config \
	    --custom-compile-command 'make lock' --default-index https://pypi.org/simple -q \
	    -o requirements.lock

# Known faults of what is in the lock. --strict: without it, packages that pypi.org's list did not
# answer for are left out, and "no known vulnerabilities" is said of nothing.
audit: .venv-tools/.installed  ## known faults of what is in the lock
	@.venv-tools/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes \
	    -r requirements.lock || { echo "make audit: not passed. Where it says that a package was not \
	found or could not be audited, pypi.org did not answer for it from here and nothing was learned: \
	run it where it does" >&2; exit 1; }

.venv-tools/.installed: constraints.txt
	$(call new-venv,.venv-tools,)
	.venv-tools/bin/python -m pip install -q -c constraints.txt pip-audit uv
	touch $@

# dist/: a wheel and the sources. Where the commit has a tag, it is the version's.
wheel: $(STAMP)  ## dist/: wheel and sources
	@said=$$($(BIN)/python -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])'); \
	tag=$$(git describe --exact-match --tags --match 'v[0-9]*' 2>/dev/null || true); \
	if test -n "$$tag" -a "$$tag" != "v$$said"; then \
	    echo "make wheel: the tag $$tag is not version $$said of pyproject.toml" >&2; exit 1; \
	fi
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .

clean:  ## remove build folders and caches
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis

distclean: clean  ## clean, and the environments
	rm -rf .venv .venv-*
