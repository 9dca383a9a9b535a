# Python >= 3.11 and make are all that a bare machine needs: `make test`.
PYTHON ?= $(firstword $(foreach python,python3 python3.11 python3.12 python3.13,$(shell \
  $(python) -c 'import sys; sys.version_info >= (3, 11) and print("$(python)")' 2>/dev/null)))
RUN = .venv/bin/python -m
EXTRAS = dev,docs,train,pyserini,ray,quickstart,image

.PHONY: quickstart check test test-ray test-browser test-hard docs bench bench-hybrid format constraints clean

# The stamp is newer than what it was made from: a second call installs nothing.
.venv/installed: pyproject.toml constraints.txt Makefile
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer found; name one: make PYTHON=/path/to/python3" >&2; exit 2; }
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(RUN) pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

quickstart: .venv/installed  ## train, evaluate and publish three small models, offline
	.venv/bin/beir-hybrid quickstart

check: .venv/installed  ## style, formatting, types
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

# Threads of several processes on the same cores wait for each other.
test: export OMP_NUM_THREADS = 1
test: .venv/installed  ## all tests, a process a core
	$(RUN) pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-ray: .venv/installed  ## machines of a Ray cluster die
	$(RUN) pytest -m cluster tests/test_ray.py

test-browser: .venv/installed  ## pages in chromium, which has to be installed
	$(RUN) pytest -m browser tests/browser

test-hard: export OMP_NUM_THREADS = 1
test-hard: .venv/installed  ## kills, rivals, damage, fuzz; BEIR_HYBRID_HARD=long: hours
	$(RUN) pytest -m hard -n 2 tests/hard

docs: .venv/installed  ## the documentation as pages, in site/
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict

format: .venv/installed  ## put style right where a machine can
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

bench: .venv/installed  ## measure; takes long
	$(RUN) benchmarks

# minilm-a takes two cores two hours, the others together an hour and a half.
HYBRID = $(if $(SMALL),small,minilm-a static-a static-b static-c masking temperature \
  context ranks improve-consistency improve-batches improve-schedule)
bench-hybrid: .venv/installed  ## the paper's claims, with seeds and tests; SMALL=1: ten minutes
	$(RUN) benchmarks.hybrid $(HYBRID) --site bench-results/hybrid-site

constraints: .venv/installed  ## pin what is installed now, every extra included
	$(RUN) pip install --quiet --editable '.[all,dev,docs]'
	(head -1 constraints.txt && $(RUN) pip freeze --exclude-editable | sed 's/+cpu//') > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
