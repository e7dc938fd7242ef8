# Every target works in a fresh clone: it makes .venv, builds the package there and runs.
# They need Python >= 3.11 (say which by `make PYTHON=python3.12 ...`), a C compiler and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml setup.py $(wildcard fastgd/kernels/*.pyx fastgd/kernels/*.pxd fastgd/kernels/*.h)

# The requirements of one dependency group of pyproject.toml; older pips have no --group.
group = $$($(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["$(1)"])')

.PHONY: demo test checked bench lint clean

demo: $(VENV)/built
	$(BIN)/python -m bench.demo

test: $(VENV)/built $(VENV)/test
	$(BIN)/python -m pytest
	FASTGD_ISA=baseline $(BIN)/python -m pytest tests

# The same tests on kernels that check every index; a build of its own, so that the fast one stays in place.
checked: $(VENV)/built $(VENV)/test
	rm -rf build/checked
	FASTGD_BOUNDSCHECK=1 $(BIN)/python -m pip install --quiet --no-deps --target build/checked .
	cp -R tests build/checked/
	cd build/checked && $(abspath $(BIN))/python -m pytest --confcutdir=tests tests

bench: $(VENV)/built
	$(BIN)/python -m bench

lint: $(VENV)/lint
	$(BIN)/ruff check .
	PATH="$(abspath $(BIN)):$$PATH" cython-lint fastgd
	$(BIN)/codespell

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis fastgd/kernels/_avx2
	find fastgd tests bench \( -name '*.so' -o -name '*.c' -o -name '*.pyc' \) -delete

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "fastgd needs Python >= 3.11, and \
	$(PYTHON) is $$($(PYTHON) --version 2>&1): say which one by make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/built: $(SOURCES) | $(VENV)/python
	$(BIN)/python -m pip install --quiet --editable '.[plot]'
	touch $@

$(VENV)/test $(VENV)/lint: $(VENV)/%: pyproject.toml | $(VENV)/python
	$(BIN)/python -m pip install --quiet $(call group,$*)
	touch $@
