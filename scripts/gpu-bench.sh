#!/usr/bin/env bash
# capfilt on a GPU: is it right there, and how fast beside transformers on the same card? Prints a table, and JSON with --json FILE.
#
# For a machine with an NVIDIA GPU, Python with torch 2.11, transformers and Pillow, and neither network nor cargo. On a machine with both:
#
#   scripts/gpu-bench.sh pack FOLDER       the stripped program, models, pictures, texts and these scripts: about 60 MB
#
# and there, in FOLDER:
#
#   scripts/gpu-bench.sh [--quick] [--json FILE] [--device cpu]
#
# --device cpu runs all of it without a GPU, to see that it would run.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" != pack ]; then
  exec python3 benches/gpu.py "$@"
fi
to=${2:?where to?}
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
