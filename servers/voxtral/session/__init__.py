"""One session: the envelope, the utterances one after the other, limits and watchdogs, and how it ends."""
