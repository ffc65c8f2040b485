"""The compositions: the one place where stages meet."""

from lading.pipeline.context import Context
from lading.pipeline.diff import Compared, diff
from lading.pipeline.locking import Locked, lock
from lading.pipeline.pack import Packed, pack
from lading.pipeline.plan import facts_json, init, inspect, plan
from lading.pipeline.run import verify_package
from lading.pipeline.serve import serve
from lading.pipeline.shelf import Package, collect, export, find, packages, remove, tag, untag
from lading.pipeline.summary import of_facts as describe
from lading.spec import schema

__all__ = [
    "Compared",
    "Context",
    "Locked",
    "Package",
    "Packed",
    "collect",
    "describe",
    "diff",
    "export",
    "facts_json",
    "find",
    "init",
    "inspect",
    "lock",
    "pack",
    "packages",
    "plan",
    "remove",
    "schema",
    "serve",
    "tag",
    "untag",
    "verify_package",
]
