# One line per thing that people do here. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help run test fuzz bench bench-train bench-peers sweep accuracy quantization finetuning docs example deps clean

BIN := .build/release/malmoi
MODEL ?= smollm2
PEERS ?= .build/peers

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: deps  ## install what is missing, build, and talk to a model (MODEL=smollm2)
	@swift build -c release --product malmoi
	@if [ -t 0 ]; then $(BIN) run $(MODEL); else $(BIN) run $(MODEL) "What is a large language model?" --seed 1 --stats; fi

test: deps  ## build and pass all tests, on real models too
	@swift build -c release --build-tests
	@Scripts/prepare-tests .build/test-data
	@set -a; . .build/test-data/environment; set +a; swift test -c release --skip-build --no-parallel

fuzz: deps  ## 2,000,000 runs of the fuzzer over files and templates from strangers
	@swift build -c release --product Fuzz
	@.build/release/Fuzz all --runs 2000000

bench: deps  ## how fast a model runs here, beside what the machine allows
	@swift build -c release --product malmoi
	@$(BIN) bench $(MODEL)

bench-train: deps  ## how fast a model learns beside PyTorch and PEFT on the same shapes
	@swift build -c release --product malmoi
	@Benchmarks/peers.sh $(PEERS)
	@$(PEERS)/venv/bin/python Benchmarks/training.py $(PEERS)

bench-peers: deps  ## the same beside llama.cpp (builds it in PEERS, a few minutes)
	@swift build -c release --product malmoi
	@Benchmarks/peers.sh $(PEERS)
	@python3 Benchmarks/speed.py $(PEERS) --batch 16

sweep: deps  ## speed against batch and context beside llama.cpp, with pictures in docs/images
	@swift build -c release --product malmoi
	@Benchmarks/peers.sh $(PEERS)
	@$(PEERS)/venv/bin/python Benchmarks/sweep.py $(PEERS)

accuracy: deps  ## perplexity beside llama.cpp, KL divergence from a float32 reference
	@swift build -c release --product malmoi
	@Benchmarks/peers.sh $(PEERS)
	@$(PEERS)/venv/bin/python Benchmarks/accuracy.py $(PEERS)

quantization: deps  ## what every quantized type loses, beside llama.cpp's own
	@swift build -c release --product malmoi
	@Benchmarks/peers.sh $(PEERS)
	@$(PEERS)/venv/bin/python Benchmarks/quantization.py $(PEERS)

finetuning: deps  ## LoRA and QLoRA beside PEFT, and the methods beside one another
	@swift build -c release --product malmoi
	@Benchmarks/peers.sh $(PEERS)
	@$(PEERS)/venv/bin/pip install -q peft
	@$(PEERS)/venv/bin/python Benchmarks/finetuning.py $(PEERS)

example: deps  ## the example of the Swift API
	@swift run -c release ChatExample

docs:  ## the API's documentation as a web site in .build/docs
	@swift package --allow-writing-to-directory .build/docs generate-documentation --target Malmoi --output-path .build/docs

deps:
	@Scripts/install-dependencies

clean:  ## remove what was built
	@rm -rf .build
