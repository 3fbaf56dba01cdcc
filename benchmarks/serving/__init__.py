"""Serving: a server under load."""
