PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3 2>/dev/null))
BIN := .venv/bin

.PHONY: demo test bench

demo: .venv/installed
	$(BIN)/lungseg demo

# In three processes: GDCM, with which the DICOM tests compress, crashes beside what the first ones load.
DICOM := tests/test_images_dicom.py
test: .venv/installed
	$(BIN)/python -m pytest $(wildcard tests/test_[a-h]*.py)
	$(BIN)/python -m pytest $(DICOM)
	$(BIN)/python -m pytest $(filter-out $(DICOM),$(wildcard tests/test_[i-z]*.py))

bench: .venv/installed
	$(BIN)/python -m benchmarks

.venv/installed: setup.cfg constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "pip>=25.2,<27"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@
