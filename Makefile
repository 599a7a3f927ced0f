# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/batchgen
AUDIT := build/audit
BARE := build/bare
UV := build/uv/bin/uv
PIP := -m pip install --quiet --disable-pip-version-check
PINNED := $(PIP) --require-hashes --only-binary :all:  # nothing that is not in the file, and no code of a package runs
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate

.PHONY: demo test kill-test soak lint bench bench-limits screenshots sbom audit audit-report requirements upgrade clean

$(VENV)/run.stamp: requirements/build.txt requirements/run.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("batchgen needs Python 3.11 or newer: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python $(PINNED) -r requirements/build.txt -r requirements/run.txt
	$(VENV)/bin/python $(PIP) --no-index --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	$(VENV)/bin/python $(PINNED) -r requirements/dev.txt
	touch $@

$(AUDIT)/stamp: requirements/audit.txt
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python $(PINNED) -r requirements/audit.txt
	touch $@

$(BARE)/stamp: requirements/run.txt .ci/bare.py
	$(PYTHON) .ci/bare.py $(BARE)
	touch $@

$(UV): requirements/uv.txt
	$(PYTHON) -m venv build/uv
	build/uv/bin/python $(PINNED) -r requirements/uv.txt
	touch $@

demo: $(VENV)/run.stamp  ## pictures of all eight models in outputs/demo/, for free
	$(RUN) run jobs/demo.yaml

test: $(VENV)/dev.stamp $(AUDIT)/stamp $(BARE)/stamp  ## everything that has to hold before a commit
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest --numprocesses 2 --dist worksteal

kill-test: $(VENV)/dev.stamp $(AUDIT)/stamp $(BARE)/stamp  ## 500 kills: every named place and system call alone, then random moments; 20 power cuts
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

screenshots: $(VENV)/dev.stamp  ## the two pictures in the README, from the demo; needs Chromium
	$(VENV)/bin/python docs/screenshots.py

sbom: $(VENV)/run.stamp $(AUDIT)/stamp  ## what is needed to run, as CycloneDX in build/sbom.cdx.json
	$(VENV)/bin/python .ci/sbom.py write build/sbom.cdx.json
	$(AUDIT)/bin/python .ci/sbom.py check build/sbom.cdx.json

audit: $(AUDIT)/stamp  ## known advisories about anything that is pinned, from two services or else the kept report
	$(AUDIT)/bin/python .ci/audit.py check

audit-report: $(AUDIT)/stamp $(UV)  ## write that report anew; `read` and `accepted` in it are written by hand and stay
	$(LOCK) --upgrade pyproject.toml --group dev --group build --group audit --group lock -o build/newest.txt > /dev/null
	$(AUDIT)/bin/python .ci/audit.py write --newest build/newest.txt

requirements: $(UV)  ## pins and hashes from pyproject.toml; versions stay unless OPTIONS='--upgrade-package NAME'
	$(LOCK) --generate-hashes $(OPTIONS) pyproject.toml --group dev -o requirements/dev.txt > /dev/null
	$(LOCK) --generate-hashes $(OPTIONS) pyproject.toml -c requirements/dev.txt -o requirements/run.txt > /dev/null
	$(LOCK) --generate-hashes $(OPTIONS) --group build -c requirements/dev.txt -o requirements/build.txt > /dev/null
	$(LOCK) --generate-hashes $(OPTIONS) --group audit -c requirements/dev.txt -o requirements/audit.txt > /dev/null
	$(LOCK) --generate-hashes $(OPTIONS) --group lock -o requirements/uv.txt > /dev/null

upgrade: OPTIONS := --upgrade --exclude-newer "7 days"  # a poisoned release is mostly found within days
upgrade: requirements

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache
