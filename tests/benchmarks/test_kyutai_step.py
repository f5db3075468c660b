"""The arithmetic of the Kyutai step benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.kyutai_step import mean_ratio, middle_config, options
from yapbench import envs

TORCH = envs.environment("torch")
ROOT = Path(__file__).resolve().parents[2]


def test_a_ratio_is_the_geometric_mean_of_its_rounds() -> None:
    value, low, high = mean_ratio([(2.0, 1.0), (1.0, 2.0), (2.0, 1.0), (1.0, 2.0)])

    assert value == pytest.approx(1.0)
    assert low == pytest.approx(1 / high)
    assert high > 2  # four rounds that differ so much say little


def test_rounds_that_agree_leave_no_doubt() -> None:
    assert mean_ratio([(1.05, 1.0)] * 7) == pytest.approx((1.05, 1.05, 1.05))


def test_cells_are_models_and_batches() -> None:
    assert options(["--cells=tiny:1,middle:4"]).cells == [("tiny", 1), ("middle", 4)]
    for words in (["--cells=tiny:0"], ["--rounds=1"]):
        with pytest.raises(SystemExit):
            options(words)


def test_middle_has_the_published_codec() -> None:
    config = json.loads(middle_config().read_text(encoding="utf-8"))

    assert config["codec_config"]["num_quantizers"] == config["num_codebooks"] == 32
    assert (config["hidden_size"], config["num_hidden_layers"]) == (768, 10)


@pytest.mark.slow
@pytest.mark.skipif(not TORCH.is_complete(), reason="needs environment torch (yapbench install kyutai)")
def test_it_hands_itself_over_to_the_environment_and_measures_both() -> None:
    command = [sys.executable, "benchmarks/kyutai_step.py", "--cells=tiny:2", "--rounds=2", "--scattered"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=115, check=False)

    assert done.returncode == 0, done.stderr
    assert "tiny B=2: engine" in done.stdout
    assert json.loads(done.stdout.splitlines()[-1])["scattered"]
