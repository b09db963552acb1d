PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3 2>/dev/null))
BIN := .venv/bin
PORT ?= 8000

.PHONY: demo test test-fast bench label label-environment hashes

demo: .venv/installed
	$(BIN)/lungseg demo

# A file's tests stay in one process, for what they share. More processes would need more memory than a laptop has.
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile

test: .venv/complete
	$(BIN)/python -m pytest $(PARALLEL)

# The core in a few minutes, without Chromium, Orthanc or the environment of MONAI Label.
test-fast: .venv/complete
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not label and not deploy and not browser"

bench: .venv/complete
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[bench]"
	$(BIN)/python -m benchmarks

label: .venv/installed
	$(BIN)/lungseg label start --studies "$(STUDIES)" --port $(PORT)

label-environment: .venv/installed
	$(BIN)/python -m lungseg.workflows.label.setup.environment

# Everything has a hash but PyTorch, whose build pip's own settings choose, and lungseg. PyTorch comes alone: nothing else
# is resolved, so no other package chooses its build.
.venv/installed: setup.cfg constraints.txt requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --only-binary :all: --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check
	touch $@

# MONAI Deploy comes with the tests alone: where it is installed, plain `import monai` wants a CUDA library.
.venv/complete: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

# Writes the hashes of all files of each version that the constraints name, for every system, from Python 3.11 on.
HASHES = UV_CUSTOM_COMPILE_COMMAND="make hashes" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-annotate --upgrade --no-config
LABEL := workflows/label/setup

hashes: .venv/installed
	$(BIN)/python -m pip install --quiet "uv>=0.13,<0.14"
	echo torch | $(HASHES) setup.cfg requirements.in --extra demo --extra dicom --extra onnx \
	  --constraint constraints.txt --excludes /dev/stdin --output-file requirements.txt
	$(HASHES) $(LABEL)/constraints.txt --no-deps --no-emit-package torch --output-file $(LABEL)/requirements.txt
	$(HASHES) $(LABEL)/installer.in --no-deps --constraint $(LABEL)/constraints.txt --output-file $(LABEL)/installer.txt
