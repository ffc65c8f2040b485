"""Speaks every contract; needs the server's own environment."""
