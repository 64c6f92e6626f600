# Sourced by the other scripts: .venv at the repository's root with the pinned requirements.
# `environment dev` adds the dependency group `dev`. Does nothing when it is up to date.
environment() {
  local group="${1:-}" python="${PYTHON:-python3}" wanted stamp=".venv/.installed${1:+-$1}"
  if [ ! -x .venv/bin/python ]; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
      echo "Python 3.11 or newer is needed; name one with PYTHON=/path/to/python3.11" >&2
      return 1
    }
    "$python" -m venv .venv
  fi
  wanted=$(cat requirements.txt pyproject.toml | cksum)
  [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return 0
  echo "Installing into .venv (about a minute) ..."
  # Dependency groups need pip 25.1; a new environment may have an older one.
  .venv/bin/python -m pip install --quiet --disable-pip-version-check pip==26.3
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --constraint requirements.txt --editable . ${group:+--group "$group"}
  echo "$wanted" > "$stamp"
}
