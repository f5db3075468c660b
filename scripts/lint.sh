#!/usr/bin/env bash
# ruff (lint, format), mypy strict, notebooks stripped. FIX=1 repairs instead of reporting.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ "${FIX:-}" = 1 ]; then
  .venv/bin/ruff check --quiet --fix .
  .venv/bin/ruff format --quiet .
  scripts/strip.sh notebooks/*.ipynb
else
  .venv/bin/ruff check --quiet .
  .venv/bin/ruff format --quiet --check .
  scripts/strip.sh --verify notebooks/*.ipynb
fi
.venv/bin/mypy --no-error-summary
