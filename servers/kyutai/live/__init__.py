"""A connection: its messages in both encodings, its stream, and the ways in which it ends."""
