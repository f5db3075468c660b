"""A server without a model: scripted answers, delays, stalls and faults, and a queue of known capacity."""
