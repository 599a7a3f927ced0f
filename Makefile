# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/batchgen

.PHONY: demo test kill-test soak lint bench bench-limits clean

$(VENV)/run.stamp: requirements/run.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("batchgen needs Python 3.11 or newer: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/run.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	touch $@

demo: $(VENV)/run.stamp  ## pictures of all eight models in outputs/demo/, for free
	$(RUN) run jobs/demo.yaml

test: $(VENV)/dev.stamp  ## everything that has to hold before a commit
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest --numprocesses 2 --dist worksteal

kill-test: $(VENV)/dev.stamp  ## 500 kills: every named place and system call alone, then random moments; 20 power cuts
	$(VENV)/bin/python -m tests.crash.many --kills 500
	$(VENV)/bin/python -m tests.crash.power --points 20 || [ $$? -eq 77 ]  # 77: not permitted here, and it says so

soak: $(VENV)/dev.stamp  ## ten minutes of faults and kills on one large job, with open files and memory
	$(VENV)/bin/python -m tests.crash.soak --minutes 10 --tasks 10000

lint: $(VENV)/dev.stamp
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: $(VENV)/dev.stamp  ## CPU per picture beside bare aiohttp and the usual SDK script; needs nginx
	$(VENV)/bin/python benchmarks/overhead.py

bench-limits: $(VENV)/dev.stamp  ## limits that nobody tells: refused, failed and time beside the usual SDK script
	$(VENV)/bin/python benchmarks/limits.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
