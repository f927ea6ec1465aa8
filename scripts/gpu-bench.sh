#!/usr/bin/env bash
# Checks capfilt's results on a GPU, and measures its speed against transformers on the same GPU. Prints a
# table, and JSON with --json FILE.
#
# The script runs on a machine with an NVIDIA GPU and Python with torch 2.11, transformers and Pillow, without
# network and cargo. First, on a machine with network and cargo:
#
#   scripts/gpu-bench.sh pack FOLDER       the stripped program, models, pictures, texts and these scripts: about 60 MB
#
# Then, on the GPU machine in FOLDER:
#
#   scripts/gpu-bench.sh [--quick] [--json FILE] [--device cpu]
#
# --device cpu runs everything without a GPU, to test the scripts.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" != pack ]; then
  exec python3 benches/gpu.py "$@"
fi
to=${2:?give a target folder: gpu-bench.sh pack FOLDER}
mkdir -p "$to/scripts" "$to/benches/peers" "$to/demo" "$to/bin"
strip -o "$to/bin/capfilt" target/release/capfilt
cp scripts/gpu-bench.sh scripts/blip_models.py scripts/blip_reference.py "$to/scripts/"
cp benches/gpu.py "$to/benches/"
cp benches/peers/capfilt_transformers.py "$to/benches/peers/"
cp -r demo/web demo/models demo/demo.toml "$to/demo/"
python=.peers/bin/python
[ -x "$python" ] || python=.venv/bin/python
[ -d out/bench/web ] || "$python" scripts/make_images.py out/bench/web --web
cp -r out/bench/web "$to/web"
du -sh "$to"
