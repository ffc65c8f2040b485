"""URLs in; local files that a digest vouches for, and bounded texts, out."""

from lading.fetch.http import HttpFetch

__all__ = ["HttpFetch"]
