"""Who somebody is to a registry: what Docker and the containers tools keep, read and kept the same way."""

from lading.logins.document import canonical
from lading.logins.files import LoginFiles

__all__ = ["LoginFiles", "canonical"]
