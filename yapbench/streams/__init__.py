"""Numbers of streamed utterances: stored rows in, estimates out. Pure; knows no socket and no page."""
