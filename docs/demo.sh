#!/usr/bin/env bash
# What `make demo` runs: a clip of the world tiny learns from, and, once its weights are shipped, one that it generates.
# Usage: demo.sh BIN_FOLDER
set -euo pipefail
bin=$1
mkdir -p out
if [ -f muybridge/shipped/tiny/base.safetensors ]; then
    "$bin/muybridge" generate 'A woman with red hair stands in a park in the morning and says: "Good morning, everyone."' \
        -o out/demo.mp4
else
    echo "The tiny size has no trained weights in this version (docs/log.md); showing the world it will learn from."
fi
"$bin/muybridge" world preview -o out/world.png --count 4
echo "Look at out/"
