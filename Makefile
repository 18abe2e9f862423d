# One-line rules; what they do is in deploy/, requirements/ and pyproject.toml.
.DEFAULT_GOAL := help
.PHONY: help up down test test-slow simulation bench check format protos protos-check lock clean

PY := .venv/bin/python
PIP_COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(PY) -m piptools compile --quiet --generate-hashes --strip-extras \
	--allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
ARGS ?=

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' Makefile

# exec: the program takes the shell's place, so that Ctrl-C and SIGTERM reach it once and nothing stands between.
up: ## start everything on this machine; make up ARGS="--port 3100 --data-dir DIR"
	@deploy/setup.sh run $(ARGS) && exec $(PY) -m browsergo.cli.main up $(ARGS)

down: ## stop what `make up` started; make down ARGS="--data-dir DIR"
	@test -x $(PY) || { echo "nothing was ever set up here, so nothing runs" >&2; exit 3; }
	@exec $(PY) -m browsergo.cli.main down $(ARGS)

test: check ## check, and all tests but the slow ones
	$(PY) -m pytest -m "not slow" $(ARGS)

test-slow: ## the slow tests
	@deploy/setup.sh test
	$(PY) -m tests.slow $(ARGS)

simulation: ## 100,000 courses of the delivery protocol; make simulation ARGS="--seeds 1000 --first 7"
	@deploy/setup.sh test
	$(PY) -m tests.simulation $(ARGS)

bench: ## measure this relay beside its peers; make bench ARGS="browsergo chii --modes seq"
	@deploy/setup.sh bench
	$(PY) -m tests.bench $(ARGS)

check: ## lint, format, types, import contract, generated code
	@deploy/setup.sh test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-logo
	$(PY) -m deploy.protos --check

format: ## put the sources into shape
	@deploy/setup.sh test
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

protos: ## generate browsergo/v2 from protos/
	@deploy/setup.sh test
	$(PY) -m deploy.protos

protos-check: ## compare browsergo/v2 with protos/
	@deploy/setup.sh test
	$(PY) -m deploy.protos --check

lock: ## write requirements/*.txt afresh from pyproject.toml
	@deploy/setup.sh test
	$(PIP_COMPILE) --extra server --build-deps-for editable --output-file requirements/server.txt pyproject.toml
	$(PIP_COMPILE) --extra server --extra dev --build-deps-for editable --constraint requirements/server.txt \
		--output-file requirements/dev.txt pyproject.toml
	$(PIP_COMPILE) --output-file requirements/node.txt requirements/node.in
	$(PIP_COMPILE) --output-file requirements/clients.txt requirements/clients.in

clean: ## remove what set-up and checks made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist *.egg-info \
		tests/e2e/node/node_modules tests/bench/peers/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
