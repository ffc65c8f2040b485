"""A URI of a tracked model goes in; its artifacts on this machine, and how it was made, come out."""

from lading.tracking.bring import Brought, OfflineError, Tracking

__all__ = ["Brought", "OfflineError", "Tracking"]
