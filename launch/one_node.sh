#!/usr/bin/env bash
# Train on all devices of this machine, as one process:
#   bash launch/one_node.sh --config=sample --config.name=many
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
exec a2inet train "$@" --config.train.parallel=mesh
