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
pytest --durations=10 "$@"
# Data-parallel training, in a process of its own that sees eight CPU devices.
pytest tests/multi_device "$@"
