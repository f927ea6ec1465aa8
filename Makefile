# Every target does its own set-up first; the first build takes a quarter of an hour on two cores, later ones seconds.
.PHONY: setup install demo test lint parity bench bench-scale ablation soak

CARGO = cargo
BINARY = target/release/capfilt
DEMO_JOB = out/demo

# libtorch into the per-user cache, linked as .libtorch (CUDA=1: with CUDA, 5 GB); Python for the tests, linked as .venv.
setup:
	@scripts/tools.sh
	@python3 scripts/libtorch.py $(if $(CUDA),--cuda)
	@python3 scripts/python.py

# The program with its libtorch, world-readable, for other users, containers and nodes: make install PREFIX=/opt/capfilt
PREFIX ?= /opt/capfilt
install: setup
	$(CARGO) build --release
	@scripts/install.sh $(BINARY) $(PREFIX)

demo: setup
	@echo "== building capfilt"
	$(CARGO) build --release
	@echo "== cleaning 2,400 web pairs with a small filter and captioner (five to twenty seconds on 2 cores)"
	@rm -rf $(DEMO_JOB)
	time -p $(BINARY) run -c demo/demo.toml
	$(BINARY) verify --job $(DEMO_JOB)
	@echo "== how true are the verdicts? (the demo's pictures are computed, so truth is known)"
	@$(BINARY) demo --truth $(DEMO_JOB) --input demo/web

# A tool that is missing fails the tests; CAPFILT_ALLOW_SKIP=1 skips those that need it, and counts them at the end.
# One profile for everything, so that demo, tests and lint share one build of the dependencies.
test: setup
	@scripts/nats.sh
	@scripts/slurm.sh
	@scripts/systemd.sh
	@scripts/azurite.sh
	@python3 scripts/python.py stores
	@python3 scripts/python.py readers
	@python3 scripts/python.py deploy
	@echo "== building and running the tests (on 2 cores: a quarter of an hour to build all of it once, as much to run)"
	@scripts/test.sh

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings

# Full-size models against transformers; needs the 5 GB of PyTorch with CUDA libraries, and 12 GB of memory.
parity: setup
	$(CARGO) build --release
	@python3 scripts/peers.py
	.peers/bin/python scripts/parity_trained.py $(BINARY)
	.peers/bin/python scripts/parity.py $(BINARY)

# capfilt beside its peers, in turns, on a quiet machine; the table goes to benches/RESULTS.md too. Half an hour.
bench: setup
	$(CARGO) build --release
	@python3 scripts/peers.py
	.peers/bin/python benches/run.py --record

# The paper's ablations, small: what models learn from raw, filtered and written texts. Hours; begun again, it goes on where it was.
ablation: setup
	$(CARGO) build --release
	.venv/bin/python benches/ablation.py

# A hundred thousand shards planned, handed out, committed and resumed; the models are a timer, the store is S3 in memory.
# A quarter of an hour. make bench-scale SCALE="--shards 10000" is a tenth of it.
bench-scale: setup
	@scripts/nats.sh
	$(CARGO) bench --bench scale -- $(SCALE)

# The kill tests over many seeds, and 60 faults per seed of all that a cluster stands on: make soak SEEDS=20
soak: setup
	@scripts/nats.sh
	CAPFILT_SOAK_SEEDS=$(or $(SEEDS),20) $(CARGO) test --release --test program -- --nocapture \
		killed_workers_and_runs runs_and_workers_killed a_job_killed_stopped_and_cut_off
