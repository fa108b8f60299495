#!/usr/bin/env bash
# The installed collection on every supported ansible-core (meta/runtime.yml), each with a Python that it runs on.
# Usage: tests/matrix.sh FOLDER [PYTHON/CORE...], for instance 3.12/2.20; all pairs if none is named.
#
# FOLDER keeps what is installed for that. A Python that this machine lacks is told, and left out.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- 3.11/2.19 3.12/2.20 3.12/2.21 3.13/2.21
cd "$(dirname "$0")/.."

find_python() {
  local candidate
  for candidate in "python$1" "$HOME/.pyenv/versions/$1".*/bin/python; do
    if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
}

failed=
for pair in "$@"; do
  python=$(find_python "${pair%/*}")
  if [ -z "$python" ]; then
    echo "== Python ${pair%/*} is not installed: ansible-core ${pair#*/} is not tried with it"
    continue
  fi
  echo "== Python ${pair%/*}, ansible-core ${pair#*/}"
  environment=$folder/${pair//\//-}
  [ -x "$environment/bin/python" ] || "$python" -m venv "$environment"
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
    "ansible-core==${pair#*/}.*" -r meta/ee-requirements.txt
  INSTALLED_PYTHON=$environment/bin/python pytest -q tests/installed || failed="$failed $pair"
done
[ -z "$failed" ] || { echo "Failed:$failed"; exit 1; }
