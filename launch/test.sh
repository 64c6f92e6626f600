#!/usr/bin/env bash
# Lint, types and tests, in the pinned environment.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh
environment dev
export PATH="$PWD/.venv/bin:$PATH"
ruff check .
ruff format --check .
mypy
# Some tests at a time, those of a file one after another: they share what is costly to make. The files
# start in the order of tests/conftest.py.
pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder --durations=10 "$@"
# Data-parallel training, in a process of its own that sees eight CPU devices.
pytest tests/multi_device "$@"
