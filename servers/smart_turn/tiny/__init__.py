"""The small Smart Turn v2 checkpoint that `--model=tiny` serves, and its trainer."""
