"""The compositions: the one place where stages meet."""

from lading.pipeline.care import Item, collect, taken
from lading.pipeline.containers import Started, Wanted, run_package, start_package
from lading.pipeline.context import Context
from lading.pipeline.converting import convert
from lading.pipeline.diff import Compared, diff
from lading.pipeline.drafts import Flags, edition
from lading.pipeline.drafts import environment as environment_draft
from lading.pipeline.drafts import model as model_draft
from lading.pipeline.foreign import Foreign, listed, look
from lading.pipeline.fsck import fsck
from lading.pipeline.locking import Locked, lock
from lading.pipeline.login import login, logout
from lading.pipeline.pack import pack
from lading.pipeline.plan import facts_json, inspect, plan
from lading.pipeline.rebuild import Checked, check, rebuild
from lading.pipeline.remote import tags
from lading.pipeline.run import verify_package
from lading.pipeline.scanning import look_for_code, sarif
from lading.pipeline.score import Wanted as WantedScores
from lading.pipeline.score import score
from lading.pipeline.sealing import Packed
from lading.pipeline.serve import serve, serve_several
from lading.pipeline.shelf import Package, export, find, remove, tag, untag
from lading.pipeline.summary import of_facts as describe
from lading.pipeline.tracked import bring, init, place
from lading.pipeline.transfer import copy, fetch_image, pull, push
from lading.pipeline.variables import read as variables
from lading.spec import schema
from lading.workspace import Created, Which, Workspace

__all__ = [
    "Checked",
    "Compared",
    "Context",
    "Created",
    "Flags",
    "Foreign",
    "Item",
    "Locked",
    "Package",
    "Packed",
    "Started",
    "Wanted",
    "WantedScores",
    "Which",
    "Workspace",
    "bring",
    "check",
    "collect",
    "convert",
    "copy",
    "describe",
    "diff",
    "edition",
    "environment_draft",
    "export",
    "facts_json",
    "fetch_image",
    "find",
    "fsck",
    "init",
    "inspect",
    "listed",
    "lock",
    "login",
    "logout",
    "look",
    "look_for_code",
    "model_draft",
    "pack",
    "place",
    "plan",
    "pull",
    "push",
    "rebuild",
    "remove",
    "run_package",
    "sarif",
    "schema",
    "score",
    "serve",
    "serve_several",
    "start_package",
    "tag",
    "tags",
    "taken",
    "untag",
    "variables",
    "verify_package",
]
