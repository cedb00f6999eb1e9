# `make help` lists the targets.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN     := $(CURDIR)/bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/mozilla-iam/eksguard/internal/cli.version=$(VERSION)
GO      ?= go
# What a binary of this module is made of; Go's own cache does the rest.
SOURCES := go.mod go.sum $(shell find cmd internal policies webhook -type f -not -name '*_test.go' -not -name '*_test.rego')

lint_module = cd $(1) && $(GO) vet ./... && $(BIN)/golangci-lint run ./... && $(GO) mod tidy -diff
say = @printf '\033[1m▸ %s\033[0m\n' "$(1)"

.PHONY: help
help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

##@ Use

.PHONY: build
build: $(BIN)/eksguard ## Build bin/eksguard.

.PHONY: image
image: ## Build the container image into bin/image; PUSH=registry.example.com/eksguard pushes it.
	$(call say,building the image for amd64 and arm64)
	@mkdir -p $(BIN)
	@cd deploy/image && $(GO) run . -source $(CURDIR) -output $(BIN)/image $(if $(PUSH),-push $(PUSH))

.PHONY: demo
demo: control-plane build ## Show eksguard at work on a real local control plane.
	@$(GO) run ./test/demo demo

.PHONY: up
up: control-plane build ## Start a local control plane with eksguard, and leave them running. BUNDLE=path takes that bundle, or the configuration path.yaml.
	@$(GO) build -o $(BIN)/demo ./test/demo
	@$(BIN)/demo up $(if $(BUNDLE),--bundle "$(BUNDLE)")

.PHONY: down
down: ## Stop what `make up` started.
	@$(GO) build -o $(BIN)/demo ./test/demo
	@$(BIN)/demo down

##@ Test

.PHONY: test
test: packages verify control-plane flux cert-manager calico prometheus build $(BIN)/eksguard-race ## Run everything: lint, Rego tests, unit tests, end-to-end tests.
	$(call say,Go tests with the race detector)
	@# Much of it is waiting, for leases and for intervals: one package more than there are processors.
	@$(GO) test -race -p $$(($$(nproc) + 1)) -timeout 30m ./...
	@# `go test` does not know that tests of these modules depend on the rest of the repository: no results of before.
	$(call say,the Helm chart on a real control plane)
	@cd test/chart && $(GO) test -count=1 -timeout 10m ./...
	$(call say,the container image)
	@cd deploy/image && $(GO) test -count=1 -timeout 30m ./...

.PHONY: verify
verify: lint rego alerts generated ## Check form: gofmt, vet, golangci-lint, go.mod, policies, alerts, and what is generated.

.PHONY: lint
lint: $(BIN)/golangci-lint ## Lint the Go code.
	$(call say,go vet and golangci-lint)
	@$(call lint_module,.)
	@$(call lint_module,test/chart)
	@$(call lint_module,deploy/image)
	@$(call lint_module,test/certmanager)
	@export CGO_ENABLED=0 && $(call lint_module,test/calico)

.PHONY: rego
rego: $(BIN)/opa ## Check and test the policies.
	$(call say,opa fmt, check and test)
	@$(BIN)/opa fmt --list --fail policies
	@$(BIN)/opa check --strict --bundle policies
	@$(BIN)/opa test --bundle --coverage --threshold 100 policies > $(BIN)/rego-coverage.json \
		|| { $(BIN)/opa test --bundle policies; grep -h -A2 not_covered $(BIN)/rego-coverage.json; exit 1; }
	@$(BIN)/opa test --bundle policies

.PHONY: alerts
alerts: prometheus ## Check and test the alerts.
	$(call say,promtool check and test)
	@$(BIN)/promtool check rules --lint=all --lint-fatal deploy/monitoring/alerts.yaml
	@$(BIN)/promtool test rules deploy/monitoring/alerts_test.yaml

.PHONY: generated
generated: ## Check that what is generated is what would be generated now.
	$(call say,docs/policies.md)
	@$(GO) run ./cmd/eksguard policies -o markdown | diff -u docs/policies.md - \
		|| { echo 'docs/policies.md is stale: run make generate' >&2; exit 1; }
	$(call say,docs/metrics.md and what is generated in deploy)
	@$(GO) run ./deploy/generate -check

.PHONY: unit
unit: ## Run the Go tests that need no control plane.
	@$(GO) test ./cmd/... ./internal/... ./webhook/... ./policies/... ./test/ci/... ./test/fuzz/...

.PHONY: fuzz
fuzz: ## Set the reading of aws-auth beside the authenticator's parser, for FUZZTIME (10m).
	@$(GO) test ./test/fuzz -run '^$$' -fuzz FuzzAWSAuth -fuzztime $(or $(FUZZTIME),10m) -fuzzminimizetime 1x

.PHONY: e2e
e2e: control-plane flux cert-manager prometheus $(BIN)/eksguard-race ## Run the end-to-end tests alone.
	@$(GO) test -timeout 30m -v ./test/e2e/...

.PHONY: chart
chart: generated ## Lint and render the Helm chart.
	@cd test/chart && $(GO) test -short ./...

.PHONY: soak
soak: control-plane build ## Run two replicas under load while everything happens that can, for DURATION (30m).
	@$(GO) run ./test/soak/cmd -duration $(or $(DURATION),30m)

.PHONY: bench
bench: build ## Compare eksguard with a webhook that allows everything, in one run.
	@$(GO) run ./test/bench

.PHONY: schemas
schemas: control-plane ## Take the schemas of Kubernetes' kinds, internal/openapi, from the API server.
	@$(GO) run ./test/openapi internal/openapi/kubernetes.json.gz

.PHONY: fmt
fmt: $(BIN)/opa $(BIN)/golangci-lint ## Format Go and Rego.
	@$(BIN)/golangci-lint fmt ./...
	@$(BIN)/opa fmt --write policies

.PHONY: generate
generate: ## Generate docs/policies.md, docs/metrics.md, the dashboard, and what the Helm chart has from elsewhere.
	@mkdir -p $(BIN)
	@$(GO) run ./cmd/eksguard policies -o markdown > $(BIN)/policies.md
	@mv $(BIN)/policies.md docs/policies.md
	@$(GO) run ./deploy/generate
	@cd test/chart && $(GO) test -run '^TestManifestsAreTheChart$$' . -update

##@ Parts

.PHONY: packages
packages: ## Install the Debian packages that tests need.
	@./test/packages.sh

.PHONY: control-plane
control-plane: ## Build kube-apiserver, etcd, kubectl and kube-controller-manager (once; about 9 minutes).
	@./test/controlplane/build.sh

.PHONY: flux
flux: ## Build Flux's kustomize-controller and the CRDs of its API (once; about 3 minutes).
	@./test/fluxcontroller/build.sh
	@./test/fluxcrds/build.sh

.PHONY: cert-manager
cert-manager: ## Build cert-manager's controllers (once; about 2 minutes).
	@./test/certmanager/build.sh

.PHONY: calico
calico: ## Build Calico's Felix (once; about 2 minutes).
	@./test/calico/build.sh

.PHONY: prometheus
prometheus: ## Build Prometheus and promtool (once; about 5 minutes).
	@./test/prometheus/build.sh

$(BIN)/eksguard: $(SOURCES)
	$(call say,building eksguard)
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o $@ ./cmd/eksguard

$(BIN)/eksguard-race: $(SOURCES)
	$(call say,building eksguard with the race detector)
	@$(GO) build -race -o $@ ./cmd/eksguard

$(BIN)/opa: go.mod
	$(call say,building opa (about 2 minutes the first time))
	@$(GO) build -o $@ github.com/open-policy-agent/opa

$(BIN)/golangci-lint: test/tools/go.mod
	$(call say,building golangci-lint (about 4 minutes the first time))
	@cd test/tools && $(GO) build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: clean
clean: down ## Stop what `make up` started, and remove what was built.
	@rm -rf $(BIN)
