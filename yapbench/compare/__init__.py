"""Two sides of the same measurement, before and after: what got worse, what got better, and what nobody can tell."""
