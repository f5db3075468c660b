"""Servers that pages are opened from."""

from __future__ import annotations

from tests.servers.parakeet.conftest import start

__all__ = ["start"]
