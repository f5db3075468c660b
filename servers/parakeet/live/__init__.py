"""The WebSocket session: speech found in a stream, cut into chunks, answered in order."""
