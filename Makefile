# Everything that a person or CI does with the tree. A new machine needs Go and make.

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME    ?= 10m
export CGO_ENABLED := 0

.PHONY: all build build-cpu build-gpu test test-slurm test-gpu vet-gpu gpu-check gpu-check-pack race bench bench-kernels demo generate check fix fuzz clean

all: check test build

build: ## bin/ftrun; with a C compiler also for NVIDIA GPUs (docs/gpu.md)
	@if command -v $(CC) >/dev/null; then $(MAKE) --no-print-directory build-gpu; \
	else echo "no C compiler: bin/ftrun is for the CPU alone"; $(MAKE) --no-print-directory build-cpu; fi

LINK := -trimpath -ldflags "-s -w -X github.com/ftrun/ftrun/internal/cli.version=$(VERSION)" -o bin/ftrun ./cmd/ftrun

build-cpu: ## bin/ftrun for the CPU alone, one static file
	$(GO) build $(LINK)

build-gpu: bin/cuda/libcuda.a ## bin/ftrun for the CPU and NVIDIA GPUs; nothing of NVIDIA's is needed to build it, or to start
	$(GPU) $(GO) build -tags gpu $(LINK)

# What builds with the tag gpu: gorgonia.org/cu against our declarations, and an archive that forwards to the driver. Go does
# not see when those change, so their checksum is among the flags, which it sees.
DRIVER  := $(CURDIR)/internal/kernels/cuda/driver
SOURCES := $(wildcard internal/kernels/cuda/driver/*)
GPU     := CGO_ENABLED=1 CGO_CFLAGS="-O2 -I$(DRIVER) -DFTRUN_DRIVER=$(firstword $(shell cat $(SOURCES) | cksum))" \
	CGO_LDFLAGS="-L$(CURDIR)/bin/cuda"

bin/cuda/libcuda.a: $(SOURCES)
	@mkdir -p bin/cuda
	$(CC) -O2 -Wall -Wextra -fPIC -c $(DRIVER)/forward.c -o bin/cuda/forward.o
	ar rcs $@ bin/cuda/forward.o

test: ## all tests that run by default
	$(GO) test ./...

test-slurm: ## several hosts: clocks that differ, and a Slurm that the tests start; what it lacks for that it says
	FTRUN_CLUSTER=1 $(GO) test -count=1 -v -parallel 3 -timeout 40m $(ARGS) ./internal/cluster

test-gpu: bin/cuda/libcuda.a ## the CUDA device, over fakes of NVIDIA's libraries (needs a C compiler)
	$(GPU) $(GO) test -tags gpu ./internal/kernels/cuda $(ARGS)

# What a machine with a GPU needs, to be copied there: programs, golden numbers and the weights that they belong to, but for
# the largest, whose networks have numbers by a formula too, and every second of the tutorial's pictures. The programs have
# most of their code in common, so a dictionary as large as all of them halves the pack.
PACK   := build/gpu-check
SHARED ?= ../shared
BUDGET ?= 9m

gpu-check-pack: build-gpu ## build/gpu-check.tar.xz: what checks the CUDA device where there is a GPU, and no Go (docs/gpu.md)
	@rm -rf $(PACK)/fakes $(PACK)/shared && mkdir -p $(PACK)/fakes $(PACK)/shared/data/weights $(PACK)/shared/peers
	cp bin/ftrun $(PACK)
	$(GPU) $(GO) test -c -trimpath -ldflags "-s -w" -tags gpu -o $(PACK)/cuda.test ./internal/kernels/cuda
	$(GPU) $(GO) test -c -trimpath -ldflags "-s -w" -tags gpu -o $(PACK)/models.test ./models
	$(GO) build -trimpath -ldflags "-s -w" -o $(PACK)/gpucheck ./internal/gpucheck
	cd internal/kernels/cuda && FTRUN_CUDA_FAKES=$(CURDIR)/$(PACK)/fakes $(CURDIR)/$(PACK)/cuda.test -test.run '^$$'
	@if [ -d $(SHARED)/data/golden ]; then \
		cp -r $(SHARED)/data/golden $(PACK)/shared/data; \
		cp $(SHARED)/data/weights/squeezenet*.pth $(PACK)/shared/data/weights; \
		cp $(SHARED)/peers/torch_step.py $(SHARED)/peers/tutorial_torch.py $(PACK)/shared/peers; \
		(cd $(SHARED)/data && ls -d hymenoptera_data/*/*/*.jpg | awk 'NR % 2' | tar cf - -T -) | tar xf - -C $(PACK)/shared/data; \
		chmod -R u+w $(PACK)/shared; \
	else echo "without golden numbers, pictures and PyTorch's scripts: there is no $(SHARED)/data/golden"; fi
	tar cf $(PACK).tar.xz -I 'xz --lzma2=preset=6,dict=96MiB' -C build \
		$(addprefix gpu-check/,gpucheck ftrun cuda.test models.test fakes shared)

gpu-check: $(if $(shell command -v $(GO)),gpu-check-pack) ## the CUDA device on a GPU, going on where it stopped, for BUDGET (9m)
	@[ -x $(PACK)/gpucheck ] || tar xf $(PACK).tar.xz -C build
	$(PACK)/gpucheck -budget $(BUDGET) $(ARGS)

race: ## the packages whose code runs side by side, under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short ./internal/runlog ./internal/data ./internal/features ./internal/weights ./internal/nn/... ./internal/durable ./internal/launch ./internal/slurm
	CGO_ENABLED=1 $(GO) test -race -short -run 'Pool|Device|NothingIsAllocated' ./internal/kernels/cpu
	CGO_ENABLED=1 $(GO) test -race -short -run 'TwoApplies|TwoProcesses|SameBitsWhateverThreads|FailFast|LostItsLease|StaleLease|StayWithinMemory' ./executor

bench: build ## a table of whole training steps, beside PyTorch where it is found (docs/performance.md)
	$(GO) run ./internal/benchtable $(ARGS)

bench-kernels: ## kernels, planning, reports of 100,000 runs
	$(GO) test -run '^$$' -bench . -benchtime 300ms ./internal/kernels/cpu ./spec ./planner ./reports

demo: build ## the quickstart: pretrain on one generated task, compare modes on another
	cd examples/quickstart && ../../bin/ftrun plan quickstart.hcl && ../../bin/ftrun apply -auto-approve

generate: ## generated files, made anew
	$(GO) generate ./...

check: ## what fix would change, and what only a person can
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	$(GO) mod tidy -diff
	$(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./internal/kernels/... ./internal/jpeg ./internal/data
	cd internal/kernels/cpu/gen && $(GO) mod tidy -diff && $(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

vet-gpu: bin/cuda/libcuda.a ## what check does, for what the tag gpu adds
	$(GPU) $(GO) vet -tags gpu ./internal/kernels/cuda ./internal/cli
	$(GPU) $(GO) run $(STATICCHECK) -tags gpu ./internal/kernels/cuda ./internal/cli

fix: ## what check complains of, as far as a program can
	gofmt -w .
	$(GO) mod tidy
	cd internal/kernels/cpu/gen && $(GO) mod tidy
	$(GO) generate ./...

fuzz: ## each fuzz target for FUZZTIME
	.ci/fuzz $(FUZZTIME)

clean:
	rm -rf bin build
