"""The tiny checkpoint of `--model=tiny`: what it was taught, how, and how well it does (CARD.md)."""
