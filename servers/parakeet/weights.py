"""Which weights the settings stand for, where their file lies, and how it is fetched. Needs no model runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from servers.common.nemo_files import NemoFiles

PUBLISHED_CONFIG: Final = Path(__file__).with_name("config_xl.yaml")
"""What `random` is built from."""
TINY: Final = Path(__file__).parent / "tiny" / "tiny.nemo"
RANDOM_SEED: Final = 0

FILES: Final = NemoFiles(tiny=TINY, config=PUBLISHED_CONFIG, seed=RANDOM_SEED)
find = FILES.find
fetch = FILES.fetch
identify = FILES.identify
