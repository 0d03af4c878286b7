#!/usr/bin/env bash
# What `make demo` runs: a clip that tiny generates, and a sheet of the world it learned from.
# Usage: demo.sh BIN_FOLDER
set -euo pipefail
bin=$1
mkdir -p out
if [ -f muybridge/shipped/tiny/base.safetensors ]; then
    "$bin/muybridge" generate 'A close-up of a young man with short brown hair in a red sweater in a park. '\
'The camera is static. It is daytime. He says: "Good morning, everyone."' -o out/demo.mp4
else
    echo "This copy has no weights for tiny (docs/how/train.md makes them); showing the world it learns from."
fi
"$bin/muybridge" world preview -o out/world.png --count 4
echo "Look at out/: demo.mp4; demo.sheet.png, its frames; demo.sync.png, the words over the sound; world.png."
