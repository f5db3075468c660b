"""The published size that `--model=random` is built to; the rest of weights.py: tests/servers/test_nemo_weights.py."""

from __future__ import annotations

import yaml

from servers.fastconformer import weights


def test_the_fixture_has_the_published_shape() -> None:
    shape = yaml.safe_load(weights.PUBLISHED_CONFIG.read_text(encoding="utf-8"))

    encoder = shape["encoder"]
    assert (encoder["n_layers"], encoder["d_model"], encoder["n_heads"]) == (17, 512, 8)
    assert encoder["att_context_size"] == [[70, 13], [70, 6], [70, 1], [70, 0]]
    assert all(left % (right + 1) == 0 for left, right in encoder["att_context_size"])  # NeMo refuses others
    assert (shape["decoder"]["prednet"]["pred_hidden"], shape["joint"]["jointnet"]["joint_hidden"]) == (640, 640)
