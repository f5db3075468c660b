"""The server `echo` as a recogniser: scripts for a corpus, and what every measure of it must come to."""
