# Two commands matter: `make demo` and `make test`. Everything is set up in .venv from the lock file.
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
ARGS ?=
# Test processes side by side; each has a database server and a cluster of its own, and waits for
# them half of the time.
JOBS ?= 3
PYTEST := $(VENV)/bin/pytest -n $(JOBS) --dist worksteal

.PHONY: setup demo dev test test-apache lint bench proto openapi migrations lock clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml scripts/setup.sh
	@bash scripts/setup.sh $(VENV)
	@touch $@

demo: setup
	@$(VENV)/bin/bloxtr8 demo $(ARGS)

dev: setup
	@$(VENV)/bin/bloxtr8 dev $(ARGS)

lint: setup
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(PY) scripts/proto.py --check
	@$(PY) scripts/migrations.py --check

test: lint
	@$(PYTEST) -m "not apache and not long" $(ARGS)

test-apache: setup
	@$(PYTEST) -m "apache and not long" $(ARGS)

bench: setup
	@$(PY) -m tests.bench $(ARGS)

proto: setup
	@$(PY) scripts/proto.py

openapi: setup
	@$(PY) scripts/openapi.py

# The SQL of the steps in bloxtr8/store/migrations; takes minutes.
migrations: setup
	@$(PY) scripts/migrations.py

# uv resolves for every Python and platform at once; hashes, no registry address.
lock: setup
	@$(PY) -m pip install -q uv
	@$(VENV)/bin/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements.lock
	@$(VENV)/bin/uv pip compile pyproject.toml --universal --python-version 3.11 \
		--constraint requirements.lock --generate-hashes --no-emit-index-url --no-header \
		--no-annotate -o requirements.runtime.lock

clean:
	rm -rf $(VENV) .bloxtr8 .mypy_cache .ruff_cache .hypothesis
