"""A recording of any length to one transcript: cut at pauses, transcribed, stitched."""
