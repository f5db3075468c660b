"""Bytes of any audio file to 16 kHz mono samples: libsndfile, PyAV, ffmpeg."""
