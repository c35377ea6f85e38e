# Two commands matter: `make run` and `make test`.

CARGO ?= cargo
# Given to `make run`: --exit, --yes, --limit N, --listen ADDRESS.
ARGS ?=
BENCHES = bulk submit ingest claim life list idle live slow plan bill fair retention vault
TARGET = $(or $(CARGO_TARGET_DIR),target)

.PHONY: help deps dashboard build run test test-dashboard lint check sqlx openapi clean-data bench rolling torture torture-short
.PHONY: frozen dashboard-crowd example-react example-fastapi deadlines sbom walls walls-long walls-schema walls-matrix fuzz

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what is missing, where that is allowed
	@scripts/deps

dashboard: ## build the page that the server carries; needs Node
	@scripts/dashboard

build: deps ## build everything; the dashboard too, where there is Node
	@scripts/dashboard --if-possible
	@$(CARGO) build --workspace --locked

run: build ## the main job on real documents, then stay up (ARGS=--exit to end)
	@$(TARGET)/debug/offpeak demo $(ARGS)

example-react: ## a React page that shows one user's jobs live, until Ctrl-C
example-fastapi: ## an endpoint that queues, a page that shows it live, until Ctrl-C
example-react example-fastapi: example-%:
	@scripts/deps example
	@$(CARGO) build --workspace --locked
	@scripts/example $*

test: ## every test
	@scripts/deps test
	@scripts/test

test-dashboard: ## the dashboard alone: types, units, and a walk in Chromium
	@scripts/deps test
	@scripts/dashboard
	@$(CARGO) build --workspace --locked
	@scripts/test dashboard

dashboard-crowd: ## 50,000 rows that all change under somebody who scrolls
	@scripts/deps test
	@scripts/dashboard
	@$(CARGO) build --workspace --locked
	@scripts/dashboard-crowd

lint: ## format, lints, and what may be depended on
	@scripts/deps lint
	@scripts/test fmt lint deny

check: ## before a commit: format, lints, tidy rules, fast tests
	@scripts/deps lint
	@scripts/test fmt lint deny build unit

sqlx: ## renew the cache of checked queries, crates/store/.sqlx
	@scripts/deps test
	@scripts/sqlx write

openapi: build ## renew the committed document of the HTTP API
	@$(TARGET)/debug/offpeak openapi > docs/openapi.json

rolling: ## the version that is out and this one on one database, there and back
	@scripts/deps test
	@scripts/rolling

torture: ## a thousand kills, every crash point and more, then docs/reliability.md
	@scripts/deps test
	@scripts/torture --long $(ARGS)

torture-short: ## what of it fits into four minutes
	@scripts/deps test
	@scripts/torture $(ARGS)

frozen: ## every loop of a worker frozen at every call, where `make test` takes every fifth
	@scripts/deps test
	@OFFPEAK_FROZEN=every $(CARGO) test -p offpeak --locked --test it frozen::

bench: deps ## every bench, one after the other, then docs/performance.md
	@for name in $(BENCHES) report; do $(MAKE) --no-print-directory bench-$$name || exit 1; done

# Each ends with one line of JSON: bulk submit ingest claim life list idle live slow plan bill fair retention vault.
bench-%: deps
	@$(CARGO) run --quiet --release --locked -p offpeak-bench --bin $* -- $(ARGS)

sbom: ## what offpeak consists of, as CycloneDX, into target/sbom
	@scripts/deps lint
	@scripts/sbom

walls: ## the walls between tenants from every side, in minutes; a part of `make test`
	@scripts/deps test
	@$(CARGO) build --workspace --locked
	@scripts/walls

walls-long: ## the same with fuzzing and fairness beside a million jobs, in hours (ARGS=--seconds N)
	@scripts/deps test
	@$(CARGO) build --workspace --locked
	@scripts/walls --long $(ARGS)

walls-schema: ## all that the OpenAPI document allows, asked as two tenants (ARGS=--seconds N)
	@scripts/deps test
	@$(CARGO) build --workspace --locked
	@scripts/walls-schema $(ARGS)

walls-matrix: ## every place of every route, as whoever should not come in; takes minutes
	@scripts/deps test
	@scripts/walls-matrix

fuzz: ## whatever parses foreign bytes, with any; needs nightly Rust (ARGS=--seconds N, targets)
	@scripts/deps
	@scripts/fuzz $(ARGS)

deadlines: ## ten thousand deadlines in virtual time, which takes minutes
	@scripts/deps test
	@$(CARGO) test -p offpeak --locked --test it -- --ignored nor_among_ten_thousand

clean-data: ## forget all that `offpeak dev` and the tests keep
	@scripts/clean-data
