# Every target works in a fresh clone: it makes .venv, builds the package there and runs.
# They need Python >= 3.11 (say which by `make PYTHON=python3.12 ...`), a C compiler and make.

PYTHON ?= python3
PYTHONS ?= $(PYTHON)
VENV ?= .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
SOURCES := pyproject.toml setup.py \
	$(wildcard fastgd/kernels/*.pyx fastgd/kernels/*.pxd fastgd/kernels/*.h)

# The requirements of one dependency group of pyproject.toml; older pips have no --group.
group = $$($(BIN)/python -c 'import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["$(1)"], end="")')

.PHONY: demo test fuzz checked test-aarch64 bench docs lint workflows wheel wheel-test dist-test \
	sdist release-check release-notes clean

demo: $(VENV)/built
	$(BIN)/python -m bench.demo

# FASTGD_TEST_ADDING: tests/test_adding.py builds a copy of the sources, which takes a minute.
test: $(VENV)/built $(VENV)/test
	FASTGD_TEST_ADDING=1 $(BIN)/python -m pytest -n auto --dist loadfile

# Hostile fits over every public entry point: prints those that are wrong, each with the line that
# repeats it. How many, and which ones: make fuzz FITS=10000 SEED=0.
FITS := 10000
SEED := 0
fuzz: $(VENV)/built $(VENV)/test
	PYTHONPATH=tests $(BIN)/python -m fuzz --fits $(FITS) --seed $(SEED)

# The same tests on kernels that check every index; a build of its own, so that the fast one stays.
checked: $(VENV)/built $(VENV)/test
	rm -rf build/checked
	FASTGD_BOUNDSCHECK=1 $(BIN)/python -m pip install --quiet --no-deps --target build/checked .
	cp -R tests build/checked/
	cd build/checked && \
		$(abspath $(BIN))/python -m pytest -n auto --dist loadfile --confcutdir=tests tests

# The tests of a wheel for aarch64, under qemu, as root on Debian for x86-64. The first call needs
# some minutes more, for the cross compiler and 1 GB in build/aarch64. The emulator needs five
# to ten times the processor time of `make test`. Some tests:
# make test-aarch64 EMULATED=tests/test_batch.py
EMULATED := -n auto --dist loadfile tests README.md
test-aarch64: | $(VENV)/python
	.ci/aarch64 $(BIN)/python $(EMULATED)

bench: $(VENV)/built
	$(BIN)/python -m bench

# The pages and the gallery, whose scripts it runs unless SPHINXOPTS="-D plot_gallery=0"; warnings
# are errors. The result is build/docs/index.html.
docs: $(VENV)/built $(VENV)/docs
	MPLBACKEND=Agg $(BIN)/python -m sphinx -W --keep-going -q $(SPHINXOPTS) \
		-d build/doctrees docs build/docs

lint: $(VENV)/lint workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(abspath $(BIN)):$$PATH" cython-lint fastgd
	$(BIN)/codespell

# The files that GitHub reads, against their schemas; zizmor also looks for insecure workflows.
schema = $(BIN)/check-jsonschema --builtin-schema vendor.$(1)
workflows: $(VENV)/lint
	$(call schema,github-workflows) .github/workflows/*.yml
	$(call schema,dependabot) .github/dependabot.yml
	$(call schema,github-issue-config) .github/ISSUE_TEMPLATE/config.yml
	$(call schema,github-issue-forms) .github/ISSUE_TEMPLATE/*_*.yml
	$(call schema,citation-file-format) CITATION.cff
	$(BIN)/zizmor --offline --quiet --persona pedantic .github

# The sdist, and the wheel built from it, into a new dist/: one wheel for CPython 3.11 and later,
# with libgomp inside. Without LDSHARED some Pythons write the folder of their own libraries into
# every module.
wheel: $(VENV)/wheel
	rm -rf build/wheel dist
	LDSHARED="$(CC) -shared" $(BIN)/python -m build --outdir build/wheel
	PATH="$(abspath $(BIN)):$$PATH" auditwheel repair --strip --wheel-dir dist build/wheel/*.whl
	cp build/wheel/*.tar.gz dist
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/abi3audit --strict --summary dist/*.whl

# That wheel against the sdist's tests and README, on both instruction sets (`make test` runs on the
# best one): in a fresh environment, in a folder without the sources, and with nothing else on the
# PATH, so no compiler. NATIVE picks the tests on the best set.
# tests/test_frozen.py freezes a program, with PyInstaller where that installs. On several Pythons:
# make wheel-test PYTHONS="python3.11 /some/where/python3.13"
wheel-test: wheel
	$(foreach python,$(PYTHONS),$(call test-wheel,$(python)))

# The same for the sdist and the WHEEL that are already in dist/.
dist-test: | $(VENV)/python
	$(foreach python,$(PYTHONS),$(call test-wheel,$(python)))

ROOM := $(abspath build/wheel-test)
NATIVE := tests README.md
WHEEL := dist/*.whl
IS_THE_WHEEL := 'import sys, fastgd; from fastgd.kernels import ISA, threads; \
	print(sys.version, ISA, fastgd.__file__); \
	assert fastgd.__file__.startswith(sys.prefix) and threads.OPENMP'

define test-wheel
	rm -rf $(ROOM)
	$(1) -m venv $(ROOM)
	tar -xzf dist/*.tar.gz -C $(ROOM) --strip-components=1 --wildcards \
		'*/tests' '*/conftest.py' '*/pyproject.toml' '*/README.md'
	PATH=$(ROOM)/bin python -m pip install --quiet --only-binary :all: $(WHEEL) $(call group,test)
	PATH=$(ROOM)/bin python -m pip install --quiet --only-binary :all: $(call group,frozen) \
		|| echo "no PyInstaller for $(1): tests/test_frozen.py is skipped"
	cd $(ROOM) && PATH=$(ROOM)/bin python -c $(IS_THE_WHEEL)
	cd $(ROOM) && PATH=$(ROOM)/bin python -m pytest -n auto --dist loadfile $(NATIVE)
	cd $(ROOM) && PATH=$(ROOM)/bin FASTGD_ISA=baseline python -m pytest -n auto --dist loadfile tests

endef

# The sdist alone, into a new dist/; from it the wheels of a release are built.
sdist: $(VENV)/wheel
	rm -rf dist
	$(BIN)/python -m build --sdist
	$(BIN)/python -m twine check --strict dist/*

# Whether the tag (make release-check TAG=v1.2.3), the version and the changelog agree; the section
# of that version in the changelog, as build/release-notes.md.
TAG := $(shell git describe --tags --exact-match 2>/dev/null)
release-check:
	$(PYTHON) .ci/release.py check '$(TAG)'

release-notes:
	mkdir -p build
	$(PYTHON) .ci/release.py notes > build/release-notes.md

clean:
	rm -rf $(VENV) build dist docs/auto_gallery docs/generated *.egg-info .pytest_cache .ruff_cache \
		.hypothesis fastgd/kernels/_avx2
	find fastgd tests bench \( -name '*.so' -o -name '*.c' -o -name '*.pyc' \) -delete

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "fastgd needs Python >= 3.11, and \
	$(PYTHON) is $$($(PYTHON) --version 2>&1): say which one by make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/built: $(SOURCES) | $(VENV)/python
	$(BIN)/python -m pip install --quiet --editable '.[plot]'
	touch $@

$(VENV)/test $(VENV)/lint $(VENV)/wheel $(VENV)/docs: $(VENV)/%: pyproject.toml | $(VENV)/python
	$(BIN)/python -m pip install --quiet $(call group,$*)
	touch $@
