"""Whole files to the Parakeet server."""

from __future__ import annotations

from yapbench.clients.upload import Upload


class ParakeetUpload(Upload):
    """`POST /transcribe`: files longer than the server gives its model at once are cut there."""

    key_variable = "PARAKEET_API_KEY"
