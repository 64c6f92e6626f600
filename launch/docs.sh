#!/usr/bin/env bash
# Build the documentation as a site, site/index.html, in an environment of its own; warnings are errors.
#   bash launch/docs.sh            # another command of mkdocs: bash launch/docs.sh serve
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv-docs/bin/python
[ -x "$python" ] || "${PYTHON:-python3}" -m venv .venv-docs
stamp=.venv-docs/.installed
wanted=$(cksum < pyproject.toml)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  # Dependency groups need pip 25.1.
  "$python" -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
  "$python" -m pip install --quiet --disable-pip-version-check --group docs
  echo "$wanted" > "$stamp"
fi
# The notice is of a successor to MkDocs, and no warning about these pages.
export NO_MKDOCS_2_WARNING=1
[ $# -gt 0 ] || set -- build
exec .venv-docs/bin/mkdocs "$1" --strict "${@:2}"
