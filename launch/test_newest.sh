#!/usr/bin/env bash
# A quick selection of the tests, with the newest Python that is here and the newest packages that pyproject.toml
# allows, in .venv-newest. Skipped, with a line that says so, where there is no Python 3.12 or newer.
set -euo pipefail
cd "$(dirname "$0")/.."

# The first argument that is an interpreter and runs; a shim of pyenv may be neither.
runs() {
  local candidate
  for candidate in "$@"; do
    "$candidate" -c 'import venv' 2>/dev/null && echo "$candidate" && return
  done
  return 1
}

versions="$(pyenv root 2>/dev/null || echo "$HOME/.pyenv")/versions"
if ! python=$(runs python3.13 "$versions"/3.13*/bin/python python3.12 "$versions"/3.12*/bin/python); then
  echo "There is no Python 3.12 or 3.13: the tests of the newest packages are skipped"
  exit 0
fi
[ -x .venv-newest/bin/python ] || "$python" -m venv .venv-newest
install() {
  .venv-newest/bin/python -m pip install --quiet --disable-pip-version-check \
    --upgrade --upgrade-strategy eager "$@"
}
echo "Installing the newest packages into .venv-newest (a minute or two) ..."
install pip
install --editable . --group test
.venv-newest/bin/python -c '
import sys
from importlib.metadata import version
names = ("jax", "jaxlib", "flax", "numpy", "scipy", "orbax-checkpoint")
print("Python", sys.version.split()[0], *(f"{name} {version(name)}" for name in names), sep=", ")'
exec .venv-newest/bin/pytest --numprocesses=2 --dist=loadfile --durations=5 \
  tests/model tests/backbones/test_{torch_files,frame_features}.py tests/training/test_{losses,state}.py \
  tests/test_config.py tests/project/test_imports.py tests/commands/test_main.py tests/test_metrics.py \
  tests/datasets/test_splits.py tests/features/test_store.py "$@"
