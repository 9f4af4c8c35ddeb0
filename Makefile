# SPDX-License-Identifier: Apache-2.0
# 'make help' lists what there is. STYLE: the scripts do the work, so that they run without make too.
.PHONY: help setup build generate check test fuzz lint tcb deps bench ci
T ?= 30s
PKG ?= ./...

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install or name what is missing on this machine
	scripts/setup

build: ## build the commands into bin/
	go build -trimpath -o bin/ ./cmd/...

generate: ## write api/gen from api/proto
	go run -C tools ./protos

check: build lint ## before every commit: build, vet, go fix, lint, import law, tests with the race detector
	go vet ./...
	test -z "$$(go fix -diff ./... | tee /dev/stderr)"
	go test -count=1 ./internal/archtest
	go test -race -shuffle=on $(PKG)

test: ## all tests, as CI runs them
	scripts/test

fuzz: ## every fuzz target for T=30s; PKG=./internal/pure/... for some
	scripts/fuzz $(T) $(PKG)

lint: ## golangci-lint, of the version in tools/go.mod; its cache is this clone's, for another clone's names files that may be gone
	GOLANGCI_LINT_CACHE=$(CURDIR)/.cache/golangci-lint go tool -modfile=tools/go.mod golangci-lint run ./...

tcb: ## rewrite the list of packages linked into the core
	go test ./internal/archtest -run TCB -count=1 -update

deps: ## print the modules that ship, with unsafe and cgo marked; fail if docs/DEPS.md lacks one
	@go run -C tools ./deps

bench: ## measure beside peers and limits
	scripts/bench

ci: ## what CI runs
	.ci/run
