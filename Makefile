# The project's verbs. `make` alone lists them.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# Where the images belong: their names are $(IMAGE_REGISTRY)/operator and $(IMAGE_REGISTRY)/echo-server.
export IMAGE_REGISTRY ?= echo-operator.dev
# The Kubernetes that the local cluster runs, such as 1.33.13. Empty: the newest that is supported.
export KUBERNETES ?=
# What of config/ is deployed: default, or namespaced, with Roles instead of a ClusterRole.
export OVERLAY ?= default
# The nodes of the local cluster.
NODES ?= 2
# The commit whose operator make test-versions updates from: HEAD~1 by default.
export PREVIOUS ?=

.PHONY: help setup fmt lint verify test test-faults test-pauses test-long test-versions unit-test cluster-test browser-test bench-echo bench-operator bench-handover fuzz crds images push demo cluster cluster-down deploy undeploy kind-up kind-test kind-down clean

help: ## List the verbs
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 15

setup: ## Install the Debian packages that are missing (as root or by sudo)
	@hack/setup.sh

demo: setup ## Show it all on a cluster of its own: install, echo, repair, scale
	@hack/demo.sh

test: setup ## Run all tests; the last line counts them
	@hack/test.sh unit cluster

test-faults: setup ## Crash the operator before and after every write, and make requests fail, on a control plane of its own
	@hack/test.sh faults

test-pauses: setup ## Pause a leader past its Lease 200 times, on a control plane of its own (ECHO_OPERATOR_TEST_PAUSES=200)
	@hack/test.sh pauses

test-long: setup ## Run 1,000,000 simulated runs, 10,000 pauses, and 10,000 generated changes on a cluster; takes hours
	@hack/test.sh long

test-versions: setup ## Update the operator from a commit to this one and back, beside running echo servers (PREVIOUS=HEAD~1)
	@hack/test-versions.sh

unit-test: ## Run the tests that need no cluster
	@hack/test.sh unit

cluster-test: ## Run the tests that need a cluster: a local one, or that of KUBECONFIG_FOR_TESTS
	@hack/test.sh cluster

bench-echo: ## Compare the echo server with others, and write docs/performance.md (BENCH_SECONDS=40)
	@hack/bench-echo.sh

bench-operator: ## Compare the operator with others, and write docs/performance.md (BENCH_ECHOCLUSTERS=1000 BENCH_ROUNDS=1)
	@hack/bench-operator.sh

bench-handover: ## Measure how long a hand-over between two operators takes, and write docs/performance.md (BENCH_HANDOVERS=50)
	@hack/bench-handover.sh

browser-test: ## Test WebSocket with Chromium (installs Debian's package)
	@hack/browser.sh

fuzz: ## Fuzz the protocols of the echo server, each part for FUZZ_SECONDS=60; needs cargo-fuzz and a nightly Rust
	@hack/fuzz.sh

lint: ## Check formats, lints, documents, tiers, generated files and scripts
	@hack/lint.sh

verify: ## Fail if a generated or repeated fact is stale: the CRD, its reference, tests named, versions
	@hack/verify.sh

fmt: ## Format Rust and Go sources
	@cargo fmt --all
	@gofmt -w hack/bench-operator hack/cluster hack/gitops hack/helm

crds: ## Write crds/ and docs/reference.md from the Rust types
	@cargo build --quiet --package operator --bin operator --example reference
	@target/debug/operator crd > crds/echoclusters.yaml
	@target/debug/examples/reference > docs/reference.md

images: ## Build both images into target/images, and print their sizes
	@hack/images.sh build

push: ## Push both images to IMAGE_REGISTRY
	@hack/images.sh push

cluster: setup ## Start a local Kubernetes with both images in it (NODES=2 KUBERNETES=1.33.13)
	@hack/images.sh build
	@hack/cluster/cluster up --nodes $(NODES)
	@hack/cluster/cluster load target/images/operator.tar target/images/echo-server.tar

cluster-down: ## Remove every trace of the local Kubernetes
	@hack/cluster/cluster down

deploy: ## Install the operator into the cluster of kubectl's current context
	@hack/deploy.sh apply

undeploy: ## Remove the operator, its CRD and all EchoClusters from that cluster
	@hack/deploy.sh delete

kind-up: ## Start a kind cluster with both images in it
	@hack/kind.sh up

kind-test: ## Run the tests that need a cluster on the kind cluster, after make kind-up deploy
	@hack/kind.sh test

kind-down: ## Delete the kind cluster
	@hack/kind.sh down

clean: ## Remove the local cluster and everything built, Kubernetes' binaries too
	@if [ -x target/cluster/bin/cluster ]; then hack/cluster/cluster down; fi
	@rm -rf target echo-protocol/fuzz/target
