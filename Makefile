PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3 2>/dev/null))
BIN := .venv/bin
PORT ?= 8000

.PHONY: demo test test-fast bench label label-environment

demo: .venv/installed
	$(BIN)/lungseg demo

test: .venv/complete
	$(BIN)/python -m pytest

# The core in a few minutes, without Chromium, Orthanc or the environment of MONAI Label.
test-fast: .venv/complete
	$(BIN)/python -m pytest -m "not slow and not label and not deploy and not browser"

bench: .venv/complete
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[bench]"
	$(BIN)/python -m benchmarks

label: .venv/installed
	$(BIN)/lungseg label start --studies "$(STUDIES)" --port $(PORT)

label-environment: .venv/installed
	$(BIN)/python -m lungseg.workflows.label.setup.environment

.venv/installed: setup.cfg constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "pip>=25.2,<27"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[demo,dicom,onnx]"
	touch $@

# MONAI Deploy comes with the tests alone: where it is installed, plain `import monai` wants a CUDA library.
.venv/complete: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@
