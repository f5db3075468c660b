"""Fetches a server's weights into an image: `prefetch.py --server=kyutai --into=/app/weights -- --model=...`.

Run by the server's own environment beside servers/. The hub's token is read from the build's secret and kept nowhere.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

ON_A_GPU = {"smart_turn": ["--model=v2"]}
"""Flags of what a server takes where there is a GPU, which a build does not have."""


def main() -> int:
    parser = argparse.ArgumentParser(description="the weights of one server")
    parser.add_argument("--server", required=True)
    parser.add_argument("--variant", choices=("cpu", "cuda"), required=True)
    parser.add_argument("--into", type=Path, required=True, help="becomes the hub's cache")
    parser.add_argument("--token-file", type=Path, help="holds the hub's token, where there is one")
    parser.add_argument("flags", nargs="*", help="the server's own, after --")
    asked = parser.parse_args()
    os.environ["HF_HUB_CACHE"] = str(asked.into)
    # Only the weights: what else the hub's client keeps goes where nothing is shipped from.
    os.environ["HF_HOME"] = "/tmp/hub"
    if asked.token_file and asked.token_file.is_file():
        os.environ["HF_TOKEN"] = asked.token_file.read_text(encoding="utf-8").strip()
    from servers.common.errors import StartupRefused
    from servers.common.settings import SettingsError, load

    if not Path(__file__).with_name("servers").joinpath(asked.server, "weights.py").is_file():
        print(f"{asked.server} has no weights")
        return 0
    weights = importlib.import_module(f"servers.{asked.server}.weights")
    flags = [*(ON_A_GPU.get(asked.server, []) if asked.variant == "cuda" else []), *asked.flags]
    try:
        settings = load(importlib.import_module(f"servers.{asked.server}.settings").Settings, flags)
        weights.fetch(settings)
        print(f"{asked.server}: {weights.identify(settings)}")
    except (StartupRefused, SettingsError) as refusal:
        print(f"prefetch.py: {refusal}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
