"""The checkpoint of --model=tiny, and how it was made: train.py makes it, evaluate.py says how well it reads."""
