"""Sentence pool, synthesis and the committed sample audio. Imports neither `yapbench` nor `servers`."""
