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

.PHONY: demo test fuzz soak checked sanitize sanitize-address sanitize-thread coverage test-oldest \
	test-threads test-aarch64 bench bench-compare docs lint workflows types wheel wheel-test \
	dist-test sdist reproducible release-check release-notes clean

demo: $(VENV)/built
	$(BIN)/python -m bench.demo

# FASTGD_TEST_ADDING: tests/test_adding.py builds a copy of the sources, which takes a minute.
test: $(VENV)/built $(VENV)/test $(VENV)/exchange
	FASTGD_TEST_ADDING=1 $(BIN)/python -m pytest -n auto --dist loadfile

# Hostile calls of every public entry point, and damaged files: prints those that are wrong, each with
# the line that repeats it. How many, and which ones: make fuzz FUZZ_N=10000 SEED=0.
FUZZ_N := 10000
SEED := 0
fuzz: $(VENV)/built $(VENV)/test
	PYTHONPATH=tests $(BIN)/python -m fuzz --fits $(FUZZ_N) --seed $(SEED)

# An hour of the same calls again and again in one process, by hand: its memory stays flat, and no
# thread or file is left. Linux only.
SOAK_S := 3600
soak: $(VENV)/built $(VENV)/test
	PYTHONPATH=tests $(BIN)/python -m fuzz.soak --seconds $(SOAK_S)

# The same tests on kernels that check every index; a build of its own, so that the fast one stays.
checked: $(VENV)/built $(VENV)/test
	rm -rf build/checked
	FASTGD_BOUNDSCHECK=1 $(BIN)/python -m pip install --quiet --no-deps --target build/checked .
	cp -R tests build/checked/
	cd build/checked && \
		$(abspath $(BIN))/python -m pytest -n auto --dist loadfile --confcutdir=tests tests

# Some tests on kernels with the sanitizers of GCC, in builds of their own: first of memory errors
# and undefined behaviour, then of races between threads. NumPy, SciPy and Python are not
# instrumented, and tests that measure time are left out. Before, the sanitizers have to find the
# faults of tests/sanitizers/faults.h.
# ThreadSanitizer does not understand GCC's OpenMP: LLVM's takes its place, with Archer, which tells
# of its synchronisation. Both are in Debian's package libomp-dev. All threads run there, so that the
# test of free processors is left out. Each file has a process of its own: after teams of many sizes
# in one process, Archer of LLVM 14 reported accesses between which there is a barrier.
ARCHER = $(lastword $(wildcard /usr/lib/llvm-*/lib/libarcher.so))
SANITIZE_TESTS := active_set batch compiled_loss dual extrapolation glm interior_point lasso lasso_cv \
	line_search losses metric neural_network newton newton_cholesky normal_equations order positive \
	recommender ridge robust rules stochastic stored_columns streams
THREAD_TESTS := batch chunks chunks_of_ratings compiled_loss dual interior_point lasso lasso_cv linear \
	metric minimize model_selection neural_network newton normal_equations recommender ridge sgd
LIBRARY = $(shell $(CC) -print-file-name=$(1))
# libasan needs libstdc++ beside it for the exceptions of others' C++.
IN_ADDRESS = LD_PRELOAD="$(call LIBRARY,libasan.so) $(call LIBRARY,libstdc++.so.6)" PYTHONMALLOC=malloc \
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
IN_THREAD = LD_PRELOAD="$(call LIBRARY,libtsan.so) $(dir $(ARCHER))libomp.so.5" \
	OMP_TOOL_LIBRARIES=$(ARCHER) \
	TSAN_OPTIONS="ignore_noninstrumented_modules=1 halt_on_error=1 exitcode=66"

sanitize: sanitize-address sanitize-thread

sanitize-address: $(VENV)/built $(VENV)/test
	$(call sanitized,address,address$(comma)undefined)
	$(call has-faults,address,none address undefined)
	cd build/address/lib && $(IN_ADDRESS) $(abspath $(BIN))/python -m pytest -q -n auto -k "not soon" \
		--dist loadfile --confcutdir=tests $(SANITIZE_TESTS:%=tests/test_%.py)

sanitize-thread: $(VENV)/built $(VENV)/test
	@test -n "$(ARCHER)" || { \
	echo "make $@ needs LLVM's OpenMP with Archer: apt-get install libomp-dev" >&2; exit 1; }
	export FASTGD_AVX2=0 && $(call sanitized,thread,thread)
	$(call has-faults,thread,none thread)
	cd build/thread/lib && for name in $(THREAD_TESTS); do \
	$(IN_THREAD) $(abspath $(BIN))/python -m pytest -q --confcutdir=tests \
		-k "(thread or products_of_columns) and not free_processors" tests/test_$$name.py || exit 1; done

comma := ,
# build/$(1)/lib: the package with the sanitizers $(2), and its tests.
sanitized = FASTGD_SANITIZE=$(2) $(BIN)/python setup.py -q build --build-base build/$(1) \
	--build-lib build/$(1)/lib && rm -rf build/$(1)/lib/tests && cp -R tests build/$(1)/lib/
# The sanitizers of build/$(1) find the faults $(2) but for "none".
has-faults = $(CC) -g -O1 -fopenmp -fsanitize=$(subst address,address$(comma)undefined,$(1)) \
	-fno-sanitize-recover=undefined -x c tests/sanitizers/faults.h -o build/$(1)/faults && \
	for fault in $(2); do \
	if $(if $(filter thread,$(1)),$(IN_THREAD),$(IN_ADDRESS)) build/$(1)/faults $$fault > /dev/null 2>&1; \
	then test $$fault = none; else test $$fault != none; fi || { \
	echo "the sanitizer of $(1) is wrong about the fault $$fault" >&2; exit 1; }; done

# How many lines the tests run, of Python by coverage.py and of the kernels by gcov, in a build of
# its own for the baseline instruction set: Cython's own tracing has neither the limited API nor the
# bodies of parallel loops. It fails below COVERAGE_LEAST per cent. Of some tests:
# make coverage COVERAGE_TESTS=tests/test_batch.py COVERAGE_LEAST=0
COVERAGE_TESTS := tests
COVERAGE_LEAST := 95
coverage: $(VENV)/built $(VENV)/test $(VENV)/coverage
	FASTGD_COVERAGE=1 FASTGD_AVX2=0 $(BIN)/python setup.py -q build --build-base build/coverage \
		--build-lib build/coverage/lib
	rm -rf build/coverage/lib/tests build/coverage/lib/.coverage*
	find build/coverage -name '*.gcda' -delete
	cp -R tests build/coverage/lib/
	printf '[run]\nsource = fastgd\nparallel = true\npatch = subprocess\n' > build/coverage/lib/.coveragerc
	cd build/coverage/lib && $(abspath $(BIN))/python -m coverage run -m pytest -q -n auto \
		-k "not soon" --dist loadfile --confcutdir=tests $(COVERAGE_TESTS)
	cd build/coverage/lib && $(abspath $(BIN))/python -m coverage combine -q && \
		$(abspath $(BIN))/python -m coverage report -i --skip-covered --sort=miss -m
	$(BIN)/python tools/gcov.py build/coverage $(COVERAGE_LEAST)
	cd build/coverage/lib && $(abspath $(BIN))/python -m coverage report -i --format=total \
		--fail-under=$(COVERAGE_LEAST)

# The tests with the lowest NumPy, SciPy and scikit-learn that pyproject.toml allows. pytest warns of
# how that scikit-learn gives it the checks of estimators, and `sparsify` makes a sparse array of one
# dimension, with which SciPy 1.13 cannot multiply.
OLDEST := "numpy==2.0.*" "scipy==1.13.*" "scikit-learn==1.9.0"
test-oldest: $(VENV)/built
	rm -rf build/oldest
	$(BIN)/python -m venv build/oldest
	build/oldest/bin/python -m pip install --quiet --only-binary :all: $(OLDEST) $(call group,test)
	build/oldest/bin/python -m pytest -n auto --dist loadfile -p no:cacheprovider \
		-W ignore::pytest.PytestRemovedIn10Warning -k "not check_sparsify_coefficients and not sparse_coefficients" tests

# Some tests, each in several threads at a time. It proves most on a free-threaded Python:
# make test-threads PYTHON=python3.14t VENV=.venv-3.14t
PARALLEL_TESTS := losses dual newton order metric line_search rates
test-threads: $(VENV)/built $(VENV)/test $(VENV)/threads
	$(BIN)/python -m pytest -q --parallel-threads=4 \
		$(PARALLEL_TESTS:%=tests/test_%.py)

# The tests of a wheel for aarch64, under qemu, as root on Debian for x86-64. The first call needs
# some minutes more, for the cross compiler and 1 GB in build/aarch64. The emulator needs five
# to ten times the processor time of `make test`. Some tests:
# make test-aarch64 EMULATED=tests/test_batch.py
EMULATED := -n auto --dist loadfile tests README.md
test-aarch64: | $(VENV)/python
	.ci/aarch64 $(BIN)/python $(EMULATED)

bench: $(VENV)/built
	$(BIN)/python -m bench

# Is a quick fit slower than at another commit? Builds both, times them in turn, and fails if so:
# make bench-compare BASE=main.
BASE := HEAD
bench-compare: $(VENV)/built $(VENV)/test
	$(BIN)/python -m bench compare $(BASE)

# The pages and the gallery, whose scripts it runs unless SPHINXOPTS="-D plot_gallery=0"; warnings
# and links that lead nowhere are errors. The result is build/docs/index.html.
docs: $(VENV)/built $(VENV)/docs
	MPLBACKEND=Agg $(BIN)/python -m sphinx -W --keep-going -q $(SPHINXOPTS) \
		-d build/doctrees docs build/docs
	$(BIN)/python tools/links.py build/docs

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

# The kernels' stubs against the compiled modules; then scripts of users, from a folder outside of the
# package, as users check theirs. Type checkers do not follow an editable install: hence PYTHONPATH.
types: export PYTHONPATH := $(CURDIR)
types: $(VENV)/built $(VENV)/types
	$(BIN)/stubtest --concise --allowlist tests/typed/stubtest_allowlist.txt \
		$(patsubst fastgd/kernels/%.pyx,fastgd.kernels.%,$(wildcard fastgd/kernels/*.pyx))
	cd tests/typed && $(abspath $(BIN))/mypy .
	cd tests/typed && $(abspath $(BIN))/pyright --pythonpath $(abspath $(BIN))/python

# The sdist, and the wheel built from it, into a new dist/: one wheel for CPython 3.11 and later,
# with libgomp inside. Without LDSHARED some Pythons write the folder of their own libraries into
# every module. All files are of the time of the commit, so that two builds of it are the same. Beside
# the wheel, WHEEL.cdx.json says what is inside it (CycloneDX).
wheel: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1767225600)
wheel: $(VENV)/wheel
	rm -rf build/wheel dist
	$(BIN)/python -m build --sdist --outdir build/wheel
	$(BIN)/python tools/distributions.py sdist build/wheel/*.tar.gz
	mkdir build/wheel/sources
	tar -xzf build/wheel/*.tar.gz -C build/wheel/sources --strip-components=1
	LDSHARED="$(CC) -shared" $(BIN)/python -m build --wheel --outdir build/wheel build/wheel/sources
	PATH="$(abspath $(BIN)):$$PATH" auditwheel repair --strip --wheel-dir dist build/wheel/*.whl
	cp build/wheel/*.tar.gz dist
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/abi3audit --strict --summary dist/*.whl
	$(BIN)/python tools/distributions.py sbom dist/*.whl

# Two clones of the commit, in folders of different names: their wheels and sdists are the same.
REPEATED := build/reproducible
reproducible: $(VENV)/wheel
	rm -rf $(REPEATED)
	for folder in first another/second; do \
	git clone --quiet . $(REPEATED)/$$folder && \
	$(MAKE) -C $(REPEATED)/$$folder VENV=$(abspath $(VENV)) wheel || exit 1; done
	cd $(REPEATED)/first/dist && sha256sum * > ../../sums
	cd $(REPEATED)/another/second/dist && sha256sum --strict -c $(abspath $(REPEATED))/sums

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
	$(PYTHON) tools/changelog.py check '$(TAG)'

release-notes:
	mkdir -p build
	$(PYTHON) tools/changelog.py notes > build/release-notes.md

clean:
	rm -rf $(VENV) build dist docs/auto_gallery docs/generated *.egg-info .pytest_cache .ruff_cache \
		.mypy_cache tests/typed/.mypy_cache .hypothesis fastgd/kernels/_avx2
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

GROUPS_OF_TARGETS := test lint types wheel docs coverage threads
$(GROUPS_OF_TARGETS:%=$(VENV)/%): $(VENV)/%: pyproject.toml | $(VENV)/python
	$(BIN)/python -m pip install --quiet $(call group,$*)
	touch $@

$(VENV)/exchange: pyproject.toml | $(VENV)/python
	$(BIN)/python -m pip install --quiet --only-binary :all: $(call group,exchange) \
		|| echo "no ONNX or skops for this Python: their tests are skipped"
	touch $@
