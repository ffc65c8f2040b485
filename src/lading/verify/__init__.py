"""A sandbox of a package and its recorded examples in, a Report out: does it still do what it did?"""

from lading.verify.report import OF_SIGNATURE, SIGNATURE, SOCKET, check, same
from lading.verify.unrecorded import UNPROVED

__all__ = ["OF_SIGNATURE", "SIGNATURE", "SOCKET", "UNPROVED", "check", "same"]
