"""Connections kept in a folder, and their secrets where this user's operating system keeps secrets."""

from lading.connections.book import Book
from lading.connections.safe import Safe

__all__ = ["Book", "Safe"]
