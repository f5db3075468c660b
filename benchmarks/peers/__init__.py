"""Server programs that put one model behind HTTP in different ways; benchmarks/smart_turn_peers.py starts them."""
