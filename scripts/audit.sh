#!/usr/bin/env bash
# Looks every pinned package up in the advisory database (pip-audit): constraints.txt, the servers' own pins, and what is
# installed in .venv, with all that pip has added. Exit code 1: something known to be vulnerable is pinned, or something
# could not be looked up: what was not asked about is not called safe.
#   scripts/audit.sh --list     only prints what would be looked up; needs no network and installs nothing
#   scripts/audit.sh [ARGS]     ARGS go to pip-audit: -s osv, --ignore-vuln ID ...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PIP_AUDIT=2.10.1
PIN='^[A-Za-z0-9._-]+(\[[A-Za-z0-9,._-]+\])?==[A-Za-z0-9.!+]+$'

pins() { # of one file, without extras and comments; fails on what is no exact pin, but for bare names and -r
  local line
  while IFS= read -r line || [ -n "$line" ]; do
    line="${line%%#*}"
    line="${line//[[:space:]]/}"
    if [[ "$line" =~ $PIN ]]; then
      printf '%s==%s\n' "${line%%[\[=]*}" "${line##*==}"
    elif [[ -n "$line" && ! "$line" =~ ^(-r.*|[A-Za-z0-9._-]+(\[[A-Za-z0-9,._-]+\])?)$ ]]; then
      echo "$1: not an exact pin: $line" >&2
      return 1
    fi
  done < "$1"
}

# Files with pins of their own are environments of their own: a package may stand in them in another version.
FILES=(constraints.txt)
for file in servers/*/requirements*.txt; do
  ! grep -q '==' "$file" || FILES+=("$file")
done

if [ "${1:-}" = --list ]; then
  for file in "${FILES[@]}"; do
    echo "# $file"
    pins "$file"
  done
  exit 0
fi

place="${XDG_CACHE_HOME:-$HOME/.cache}/yapbench/pip-audit-$PIP_AUDIT"
if [ ! -x "$place/bin/pip-audit" ]; then
  "${PYTHON:-python3}" -m venv "$place"
  "$place/bin/python" -m pip install --disable-pip-version-check --quiet "pip-audit==$PIP_AUDIT"
fi
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
status=0
for file in "${FILES[@]}"; do
  echo "== $file"
  pins "$file" > "$scratch/requirements.txt"
  "$place/bin/pip-audit" --strict --progress-spinner off --disable-pip --no-deps -r "$scratch/requirements.txt" "$@" || status=1
done
for packages in .venv/lib/python3*/site-packages; do
  [ -d "$packages" ] || continue
  echo "== $packages"
  "$place/bin/pip-audit" --strict --skip-editable --progress-spinner off --path "$packages" "$@" || status=1
done
exit "$status"
