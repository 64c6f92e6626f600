#!/usr/bin/env bash
# The whole way on the sample data set: environment, videos, features, training, report.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh
environment
exec .venv/bin/a2inet demo --config=configs/sample.py "$@"
