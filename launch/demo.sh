#!/usr/bin/env bash
# The demo on the sample data set: environment, videos, features, training, report. Takes options of `a2inet demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh
environment
exec .venv/bin/a2inet demo "$@"
