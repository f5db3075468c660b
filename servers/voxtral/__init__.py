"""The Voxtral server: a gateway that keeps promises in front of vLLM's Realtime engine."""
