#!/usr/bin/env bash
# Train as two processes on this machine, each with four devices made of the CPU, to see how many machines do it:
#   bash launch/two_processes.sh --config=sample --config.name=two
# JAX_PLATFORMS=cuda gives each a GPU instead. Ctrl-C stops both; the same command resumes.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
export JAX_PLATFORMS="${JAX_PLATFORMS:-cpu}" JAX_NUM_CPU_DEVICES=4
address="127.0.0.1:${PORT:-29400}"
export JAX_COORDINATOR_BIND_ADDRESS="$address"
together=(--config.train.parallel=mesh --coordinator="$address" --processes=2)
CUDA_VISIBLE_DEVICES=1 a2inet train "$@" "${together[@]}" --process=1 &
CUDA_VISIBLE_DEVICES=0 a2inet train "$@" "${together[@]}" --process=0
wait $!
