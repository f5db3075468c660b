"""Which server to take: candidates from measured trials, what each use demands, and verdicts with their reasons.

Pure, but for reading prices from a sweep's grid; pages and notebooks show what is computed here.
"""
