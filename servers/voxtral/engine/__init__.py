"""The engine behind the gateway: vLLM as a child of ours, or somebody else's by its URL."""

from servers.voxtral.engine.supervisor import Supervisor

__all__ = ["Supervisor"]
