"""Plumbing that every server shares. Imports no model runtime."""
