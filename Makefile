# Two commands matter: `make run` and `make test`.

CARGO ?= cargo
# Given to `make run`: --exit, --yes, --limit N, --listen ADDRESS.
ARGS ?=
BENCHES = bulk submit ingest claim life list idle live plan bill
TARGET = $(or $(CARGO_TARGET_DIR),target)

.PHONY: help deps dashboard build run test test-dashboard lint check sqlx openapi clean-data bench rolling torture torture-short
.PHONY: example-react example-fastapi deadlines

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

lint: ## format and lints
	@scripts/deps lint
	@scripts/test fmt lint

check: ## before a commit: format, lints, tidy rules, fast tests
	@scripts/deps lint
	@scripts/test fmt lint build unit

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

bench: deps ## every bench, one after the other, then docs/performance.md
	@for name in $(BENCHES) report; do $(MAKE) --no-print-directory bench-$$name || exit 1; done

# Each ends with one line of JSON: bulk submit ingest claim life list idle live plan bill.
bench-%: deps
	@$(CARGO) run --quiet --release --locked -p offpeak-bench --bin $* -- $(ARGS)

deadlines: ## ten thousand deadlines in virtual time, which takes minutes
	@scripts/deps test
	@$(CARGO) test -p offpeak --locked --test it -- --ignored nor_among_ten_thousand

clean-data: ## forget all that `offpeak dev` and the tests keep
	@scripts/clean-data
