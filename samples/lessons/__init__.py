"""What the tiny models that write text are taught with, and examined with: no model is known here, nor any server."""
