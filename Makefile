# Every target runs its set-up first. The first build takes a quarter of an hour on two cores, later builds
# seconds.
.PHONY: setup install wheel demo book test quick lint parity bench bench-scale bench-loader ablation soak

CARGO = cargo
BINARY = target/release/capfilt
DEMO_JOB = out/demo

# Installs libtorch in the per-user cache, linked as .libtorch (CUDA=1: with CUDA, 5 GB), and Python for the
# tests, linked as .venv.
setup:
	@scripts/tools.sh
	@python3 scripts/libtorch.py $(if $(CUDA),--cuda)
	@python3 scripts/python.py

# Installs the program with its libtorch, world-readable, for other users, containers and nodes:
# make install PREFIX=/opt/capfilt
PREFIX ?= /opt/capfilt
install: setup
	$(CARGO) build --release
	@scripts/install.sh $(BINARY) $(PREFIX)

# Builds the wheel of the program and the Python package, in out/wheels.
wheel: setup
	$(CARGO) build --release
	@python3 scripts/wheel.py $(BINARY)

demo: setup
	@echo "== building capfilt"
	$(CARGO) build --release
	@echo "== cleaning 2,400 web pairs with a small filter and captioner (five to twenty seconds on 2 cores)"
	@rm -rf $(DEMO_JOB)
	time -p $(BINARY) run -c demo/demo.toml
	$(BINARY) verify --job $(DEMO_JOB)
	@echo "== accuracy of the verdicts (the demo's pictures are generated, so the truth is known)"
	@$(BINARY) demo --truth $(DEMO_JOB) --input demo/web

# Builds the book of docs/ into out/book. The first time, compiles mdBook: a minute.
book:
	@scripts/tools.sh
	@scripts/mdbook.sh
	@python3 scripts/book.py

# A missing tool fails the tests; CAPFILT_ALLOW_SKIP=1 skips the tests that need it, and counts them at the
# end. All targets use the release profile, so that demo, tests and lint share one build of the dependencies.
test: setup
	@scripts/nats.sh
	@scripts/slurm.sh
	@scripts/systemd.sh
	@scripts/prometheus.sh
	@scripts/shells.sh
	@scripts/azurite.sh
	@scripts/browser.sh
	@scripts/mdbook.sh
	@scripts/container.sh
	@python3 scripts/python.py stores
	@python3 scripts/python.py readers
	@python3 scripts/python.py croissant
	@python3 scripts/python.py lance
	@python3 scripts/python.py deploy
	@python3 scripts/python.py img2dataset
	@echo "== building and running the tests (on 2 cores: a quarter of an hour for the first build, the same to run)"
	@scripts/test.sh

# The fast lane: format, clippy and unit tests of the crates that need no libtorch. A minute or two once built.
QUICK = -p capfilt-schemas -p capfilt-store -p capfilt-links -p capfilt-pipeline -p capfilt-coordinator \
        -p capfilt-workers -p capfilt-console -p capfilt-demo-data -p capfilt-export -p capfilt-endpoint \
        -p capfilt-store-testing -p capfilt-report -p capfilt-serve
quick:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release $(QUICK) --lib -- -D warnings
	$(CARGO) test --release $(QUICK) --lib

lint: setup
	$(CARGO) fmt --all --check
	.venv/bin/ruff format --check --quiet .
	.venv/bin/ruff check --quiet .
	@python3 scripts/words.py --summary --max 0
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps --quiet

# Compares full-size models with transformers; needs PyTorch with CUDA libraries (5 GB) and 12 GB of memory.
parity: setup
	$(CARGO) build --release
	@python3 scripts/peers.py
	.peers/bin/python scripts/parity_trained.py $(BINARY)
	.peers/bin/python scripts/parity.py $(BINARY)
	.peers/bin/python scripts/parity_clip.py $(BINARY)

# Measures capfilt and its peers in turns, on an idle machine; the table is also added to benches/RESULTS.md.
# An hour.
bench: setup
	$(CARGO) build --release
	@python3 scripts/peers.py
	.peers/bin/python benches/run.py --record

# Measures the Python loader, webdataset and datasets in turns on the same pairs; ten minutes.
bench-loader: setup
	@python3 scripts/python.py readers
	.readers/bin/python benches/loader.py --record

# Runs the paper's ablations at a small size: models trained on raw, filtered and synthetic texts. Hours; a
# repeated run resumes.
ablation: setup
	$(CARGO) build --release
	.venv/bin/python benches/ablation.py

# Plans, distributes, commits and resumes a hundred thousand shards, with a timer for the models and S3 in
# memory for the store. A quarter of an hour; make bench-scale SCALE="--shards 10000" takes a tenth.
bench-scale: setup
	@scripts/nats.sh
	$(CARGO) bench --bench scale -- $(SCALE)

# Runs the kill tests over many seeds, with 60 faults of a cluster's parts per seed: make soak SEEDS=20
soak: setup
	@scripts/nats.sh
	CAPFILT_SOAK_SEEDS=$(or $(SEEDS),20) $(CARGO) test --release --test program -- --nocapture \
		killed_workers_and_runs runs_and_workers_killed a_job_killed_stopped_and_cut_off
