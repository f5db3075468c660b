"""The workbench: launches speech servers, loads them, measures them and writes the report."""
