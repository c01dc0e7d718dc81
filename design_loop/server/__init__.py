"""Campaigns over HTTP: what this package adds to the address of `serve`."""
