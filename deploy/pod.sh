#!/usr/bin/env bash
# One server up, warm and reachable on a bare machine: deploy/pod.sh SERVER [the server's flags]. docs/runbook.md
# Run it again: it goes on where it was, says that all is well, or restarts the server with the new flags.
# Exit codes: 0 it is up and has answered; 2 refused, with the remedy; 3 the machine lacks something, with the line that
# brings it; 6 server, weights or first clip failed; 130 Ctrl+C.
set -euo pipefail
export POD_CALLED_FROM=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# What a mistyped name costs must not be the minutes that the first set-up takes.
if [ $# -gt 0 ] && [[ $1 != -* ]] && [ ! -f "servers/$1/settings.py" ] && [ ! -x .venv/bin/yapbench ]; then
  known=()
  for settings in servers/*/settings.py; do
    name=$(basename "$(dirname "$settings")")
    [ "$name" = common ] || known+=("$name")
  done
  near=$(python3 -c 'import difflib, sys; print(*difflib.get_close_matches(sys.argv[1], sys.argv[2:], n=1))' \
    "$1" "${known[@]}" 2>/dev/null || true)
  hint=; [ -z "$near" ] || hint="; did you mean '$near'?"
  echo "pod: unknown server '$1'$hint; known: ${known[*]}" >&2
  exit 2
fi
trap 'echo "pod: stopped; the same command goes on where it was" >&2; exit 130' INT
# A .venv for tests or for JupyterLab holds all that is needed here.
ready=
for stamp in .venv/.ready-{demo,test,lab}; do [ ! -f "$stamp" ] || ready=$(basename "$stamp"); done
scripts/setup.sh "${ready#.ready-}"
trap - INT
exec .venv/bin/python -m yapbench.pod "$@"
