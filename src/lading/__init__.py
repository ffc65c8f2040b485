"""lading turns a trained model into a sealed, tested OCI package."""

__version__ = "0.1.0"
