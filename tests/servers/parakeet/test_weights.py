"""The published size that `--model=random` is built to; the rest of weights.py: tests/servers/test_nemo_weights.py."""

from __future__ import annotations

import yaml

from servers.parakeet import weights


def test_the_fixture_has_the_published_shape() -> None:
    shape = yaml.safe_load(weights.PUBLISHED_CONFIG.read_text(encoding="utf-8"))

    encoder = shape["encoder"]
    assert (encoder["n_layers"], encoder["d_model"], encoder["n_heads"], encoder["feat_in"]) == (24, 1024, 8, 128)
    assert (encoder["subsampling_factor"], encoder["subsampling_conv_channels"]) == (8, 256)
    assert (shape["decoder"]["prednet"]["pred_rnn_layers"], shape["decoder"]["prednet"]["pred_hidden"]) == (2, 640)
    assert shape["joint"]["jointnet"]["joint_hidden"] == 640
    assert shape["decoding"]["durations"] == shape["loss"]["tdt_kwargs"]["durations"] == [0, 1, 2, 3, 4]
    assert shape["joint"]["num_extra_outputs"] == 5
