"""What the makers of several servers' tiny checkpoints share: how they are taught, and what they are asked."""
