PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3 2>/dev/null))
BIN := .venv/bin
PORT ?= 8000

.PHONY: demo test bench label label-environment

demo: .venv/installed
	$(BIN)/lungseg demo

test: .venv/complete
	$(BIN)/python -m pytest

bench: .venv/complete
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[bench]"
	$(BIN)/python -m benchmarks

label: .venv/installed
	$(BIN)/lungseg label start --studies "$(STUDIES)" --port $(PORT)

label-environment: .venv/installed
	$(BIN)/python -m lungseg.workflows.label.environment

.venv/installed: setup.cfg constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "pip>=25.2,<27"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[demo,dicom,openvino]"
	touch $@

# MONAI Deploy comes with the tests alone: where it is installed, plain `import monai` wants a CUDA library.
.venv/complete: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@
