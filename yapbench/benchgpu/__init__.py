"""A server's grid within a time budget, its bare model beside it, one archive: `python -m yapbench.benchgpu`.

Runs under any interpreter that has the packages, without a network; installs nothing. A server joins by one entry in
declared.py. Unverified until run on CUDA.
"""
