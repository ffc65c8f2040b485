"""Deployments → instances that answer, behind one address; what runs is brought to what is wanted."""

from lading.deploy.control import SilentError, ask
from lading.deploy.daemon import end, ensure, hello
from lading.deploy.folder import Folder
from lading.deploy.logfile import follow, last_lines
from lading.deploy.probe import is_well
from lading.deploy.supervisor import Supervisor
from lading.deploy.target import Address, Started, Target

__all__ = [
    "Address",
    "Folder",
    "SilentError",
    "Started",
    "Supervisor",
    "Target",
    "ask",
    "end",
    "ensure",
    "follow",
    "hello",
    "is_well",
    "last_lines",
]
