"""The command line's verbs for servers that run: keep one up, look at it quickly, check it. Measuring for the
record is not here: that is `run` and `sweep`."""
