"""Whole files to the echo server."""

from __future__ import annotations

from yapbench.clients.upload import Upload


class EchoUpload(Upload):
    """`POST /transcribe`."""

    key_variable = "ECHO_KEY"
