"""Over HTTP: a whole file and its words, and what the server says of itself."""
