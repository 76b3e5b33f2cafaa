# Sluice. `make help` lists what there is to do; every target does its own set-up.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

export GOTOOLCHAIN := local
# One set of flags for every go command, so that all of them share one build cache.
export GOFLAGS := -trimpath -buildvcs=false
export GOWORK := off
# Pure Go: what is built runs on any Linux, in an image without a libc too, and links in a fraction of the time.
export CGO_ENABLED := 0

CACHE := $(CURDIR)/.cache
FULL  := bin/full/sluice
ENVOY := $(CACHE)/envoy/bin/envoy
HELM  := $(CACHE)/bin/helm
KO    := $(CACHE)/bin/ko
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  := $(shell git rev-parse HEAD 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
# The API server inside says its version by these.
KUBE := -X k8s.io/component-base/version.gitVersion=v1.37.0 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37
GOSRC := $(shell find . -name '*.go' -not -path './.cache/*' -not -path './bin/*' 2>/dev/null) go.mod go.sum $(wildcard api/crd/*.yaml api/crd/istio/*.yaml examples/demo/deploy/*.yaml)

# Variables a person may set.
DEMO_FLAGS ?=
REWRITE ?=
SEEDS ?= 1000
SEED ?=
FUZZ ?= .
BASE ?=
BENCH ?= .
BENCH_ROUNDS ?= 30
BENCH_FLAGS ?=
FUZZTIME ?= 10s
ONLY ?=
MUTANT ?=
SLIM ?=
V ?=

TESTFLAGS := $(if $(V),-v) -timeout 1500s
export SLUICE_FULL := $(CURDIR)/$(FULL)
export SLUICE_ENVOY ?=
export SLUICE_BROWSER ?=

.PHONY: help
help: ## list the targets and the variables
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  Variables: BASE BENCH BENCH_FLAGS BENCH_ROUNDS DEMO_FLAGS REWRITE SEEDS SEED FUZZ FUZZTIME MUTANT ONLY SLIM V"

.PHONY: build
build: bin/sluice $(if $(SLIM),,$(FULL)) bin/kubectl-sluice ## bin/sluice, bin/full/sluice (with up and demo), bin/kubectl-sluice; SLIM=1: without the full one

bin/sluice: $(GOSRC)
	go build -ldflags '$(LDFLAGS)' -o $@ ./cmd/sluice

bin/kubectl-sluice: bin/sluice
	@ln -sf sluice $@

$(FULL): $(GOSRC) standalone/go.mod standalone/go.sum
	@[ -x $@ ] || echo "building $@ with the real API server, etcd and Prometheus inside: about ten minutes the first time on two cores, silent meanwhile; seconds after that"
	@mkdir -p $(dir $@)
	cd standalone && go build -ldflags '$(LDFLAGS) $(KUBE)' -o ../$@ .

.PHONY: envoy
envoy: ## the real Envoy: from SLUICE_ENVOY or PATH where the version fits, else into .cache
	@scripts/envoy

.PHONY: browser
browser: ## the real browser that tests look at pages with: Chromium from its npm package, into .cache; SLUICE_BROWSER names another
	@[ -n "$(SLUICE_BROWSER)" ] || scripts/browser

.PHONY: sshd
sshd: ## OpenSSH's server, which tests fetch from: that of the machine, else from its package where make may install one
	@scripts/sshd >/dev/null

.PHONY: helm
helm: $(HELM) ## the real Helm, from its Go module

$(HELM): tools.mod tools.sum
	@echo "building helm, silent for some minutes the first time"
	go build -modfile=tools.mod -o $@ helm.sh/helm/v4/cmd/helm

.PHONY: unit
unit: $(FULL) envoy helm browser sshd ## unit and component tests: pure code, real API server, real git and SSH, real Helm
	scripts/with-apiserver go test $(TESTFLAGS) -p 4 $$(go list ./... | grep -v '/test/e2e')
	cd standalone && go test $(TESTFLAGS) $$(go list ./... | grep -v '/e2e')

.PHONY: e2e
e2e: build envoy $(KO) ## system tests: git push, API server, Envoy, Prometheus, kubectl and the image, all real
	go test $(if $(V),-v) -timeout 1500s -count=1 ./test/e2e/...
	cd standalone && go test $(if $(V),-v) -timeout 1500s -count=1 ./e2e

.PHONY: test
test: unit e2e ## all tests

.PHONY: race
race: $(FULL) envoy browser sshd ## the unit and component tests under the race detector
	CGO_ENABLED=1 scripts/with-apiserver go test -race $(TESTFLAGS) $$(go list ./... | grep -v '/test/e2e')

.PHONY: scenarios
scenarios: ## scenario files and random walks of the engine; REWRITE=1 rewrites the files, SEEDS and SEED steer the walks
	go test ./rollout/scenario -count=1 -v -run 'Scenario|Walk|Play' -args -walks=$(SEEDS) $(if $(REWRITE),-rewrite) $(if $(SEED),-seed=$(SEED))

.PHONY: model
model: ## the engine's behaviours within bounds, all of them, and the mutants it must find; DEEP=1 takes minutes and gigabytes
	go test ./rollout/model -count=1 -v -timeout 60m -args $(if $(DEEP),-deep)

.PHONY: mutants
mutants: $(FULL) ## make each mistake that the tests must find, and say how long that took; MUTANT=regexp selects by name and package
	scripts/with-apiserver go test ./test/mutants -count=1 -v -timeout 3600s -run 'Mutants' -args $(if $(MUTANT),-only='$(MUTANT)',-make)

.PHONY: enumerate
enumerate: $(FULL) ## disturb every write of the stories in four ways on the real API server, some minutes; the points are listed
	scripts/with-apiserver go test ./rollout/controller -count=1 -timeout 1800s -v -run TestCrash_atEveryWrite -args -enumerate=all

.PHONY: fuzz
fuzz: ## each Fuzz target for FUZZTIME; FUZZ=regexp selects
	@for p in $$(grep -rlE '^func Fuzz' --include=*_test.go . | xargs -r -n1 dirname | sort -u); do \
	  for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$p/*_test.go | cut -d' ' -f2 | grep -E '$(FUZZ)'); do \
	    echo "$$p $$f"; go test $$p -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME); done; done

.PHONY: sim
sim: bin/sluice ## what the defaults achieve, against their bar: RUNS=500 of a world, four times as many of healthy ones; a quarter of an hour
	bin/sluice simulate --reference --runs $(or $(RUNS),500) --seed $(or $(SEED),1) -o md

.PHONY: bench
bench: ## Go benchmarks
	go test -run '^$$' -bench . -benchmem $$(go list ./... | grep -v '/test/e2e')

.PHONY: bench-xds
bench-xds: ## the xDS server against the floor and a snapshot cache; BENCH=regexp selects, BENCH_ROUNDS=3 is quick, BENCH_FLAGS=-apart counts the CPU of the servers alone
	@mkdir -p $(CACHE)/bench
	go build -o $(CACHE)/bench/xdsbench ./test/xdsbench
	$(CACHE)/bench/xdsbench -rounds $(BENCH_ROUNDS) $(BENCH_FLAGS) -run '$(BENCH)' -o $(CACHE)/bench/xds.json

.PHONY: bench-rollouts
bench-rollouts: $(FULL) ## one controller with SCALE Rollouts on the real API server, a tenth of them in progress: start, cost, memory, time to 0
	scripts/with-apiserver go test ./rollout/controller -run '^$$' -bench Scale -benchtime 1x -timeout 1800s -args -scale=$(or $(SCALE),10000)

.PHONY: bench-git
bench-git: $(FULL) ## from a push to applied, looks, fetches, builds, plans, memory; BENCH=regexp selects, BENCHTIME=1x is quick, SHORT=-short fetches 100 times, not 1,000
	scripts/with-apiserver go test $(SHORT) -p 1 ./gitsync ./gitsync/gogit ./gitsync/render ./gitsync/hook ./gitsync/apply ./gitsync/controller -run '^$$' -bench '$(or $(BENCH),.)' -benchtime $(or $(BENCHTIME),40x) -benchmem -timeout 3600s

.PHONY: arch
arch: ## the rules of the house: imports, limits, documentation
	go test -count=1 ./internal/arch

.PHONY: lint
lint: ## gofmt, vet and golangci-lint over both modules; the first run builds the linter, some minutes
	@out=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "not formatted: $$out"; echo "next: gofmt -w $$out"; exit 1; }
	go vet ./...
	cd standalone && go vet ./...
	@[ -x $(CACHE)/bin/golangci-lint ] || { echo "building golangci-lint, silent for some minutes"; go build -modfile=tools.mod -o $(CACHE)/bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint; }
	$(CACHE)/bin/golangci-lint run ./...

.PHONY: generate
generate: ## deepcopy and CRDs from the Go types, the page of codes from the catalogue
	scripts/generate

.PHONY: verify
verify: generate ## generate, tidy and format, then fail if that changed anything
	go mod tidy
	cd standalone && go mod tidy
	gofmt -w $$(git ls-files '*.go')
	@git diff --exit-code --stat || { echo "generated or untidy files differ from what is committed"; echo "next: make verify && git add -A && git commit"; exit 1; }
	@[ -z "$$(git status --porcelain)" ] || { git status --short; echo "files that git does not know"; echo "next: git add them or ignore them"; exit 1; }

.PHONY: demo
demo: $(FULL) envoy ## the product at work: a good release, a bad one, and the way back; about two minutes
	$(FULL) demo $(DEMO_FLAGS)

# Tools that are programs of their own: their modules have no say in ours.
$(KO):
	@echo "building ko, silent for some minutes the first time"
	GOBIN=$(CACHE)/bin go install github.com/google/ko@v0.19.1

$(CACHE)/bin/goreleaser:
	@echo "building goreleaser, silent for some minutes the first time"
	GOBIN=$(CACHE)/bin go install github.com/goreleaser/goreleaser/v2@v2.13.0

.PHONY: image
image: $(KO) ## the container image as an OCI layout in bin/image; BASE=reference replaces the base image, which comes from its registry
	VERSION=$(VERSION) COMMIT=$(COMMIT) KO_DOCKER_REPO=sluice.local/sluice $(if $(BASE),KO_DEFAULTBASEIMAGE=$(BASE)) $(KO) build --bare --push=false --oci-layout-path bin/image --sbom-dir bin ./cmd/sluice

.PHONY: release
release: $(CACHE)/bin/goreleaser $(HELM) ## archives of the full program, bills of materials, checksums, provenance and the chart in bin/release; publishes nothing; ONLY=1: for this machine alone
	$(HELM) package charts/sluice --destination bin/chart
	go build -o bin/sbom ./scripts/sbom
	sed $(if $(ONLY),-e "s/^    goos: .*/    goos: [$$(go env GOOS)]/" -e "s/^    goarch: .*/    goarch: [$$(go env GOARCH)]/") .goreleaser.yaml >bin/goreleaser.yaml
	$(CACHE)/bin/goreleaser release --config bin/goreleaser.yaml --snapshot --clean
	cp bin/chart/sluice-*.tgz bin/release
	cd bin/release && sha256sum $$(ls *.tar.gz *.cdx.json *.tgz) >checksums.txt
	go run ./scripts/provenance -only '$(ONLY)' -o bin/release/provenance.intoto.json bin/release/checksums.txt

.PHONY: clean
clean: ## remove bin and the summaries; the caches stay
	rm -rf bin
