"""What the load generator can do on this machine: measured on itself, judged, kept (`certificate.py`)."""
