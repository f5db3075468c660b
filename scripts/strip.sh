#!/usr/bin/env bash
# Strip notebooks of outputs and run metadata; `--verify` only looks. Arguments: options and files.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../.venv/bin/nbstripout" --drop-tagged-cells injected-parameters \
  --extra-keys "metadata.papermill cell.metadata.papermill cell.metadata.execution metadata.language_info.version" "$@"
