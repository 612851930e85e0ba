.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

.PHONY: help
help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

.PHONY: run
run: ## the main job: ten clients, one aggregator, an embedded broker
	go run ./testbed

.PHONY: build
build: ## the deployable binary, ./dpfpl
	CGO_ENABLED=0 go build -trimpath -o dpfpl ./roles

.PHONY: test
test: ## every test
	go test ./...

.PHONY: browser
browser: ## the monitor's page in a real Chromium, which must be there
	DPFPL_CHROMIUM=$${DPFPL_CHROMIUM:-$$(command -v chromium)} go test ./roles -run TestMonitorInBrowser -count 1 -v

.PHONY: race
race: ## every test under the race detector
	go test -race -short ./...

.PHONY: bench
bench: ## every benchmark, each with its baseline beside it
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: golden
golden: ## write the golden files anew; review the diff
	go test ./schemas/... ./roles/aggregator/... ./roles/monitor -update

.PHONY: lint
lint: ## gofmt, vet, staticcheck
	test -z "$$(gofmt -l .)"
	go vet ./...
	go tool staticcheck ./...

.PHONY: ci
ci: ## what a change must pass
	bash .ci/run
