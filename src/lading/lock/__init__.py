"""Requirements, a base and a server → a lock: every byte of an environment, pinned."""

from lading.lock.build import Build, Job, NoCompilerError, build_in, kept
from lading.lock.builder import BuildingFetch
from lading.lock.builds import chosen as build_for
from lading.lock.checkouts import Git
from lading.lock.conda_solve import Solver as CondaSolver
from lading.lock.drift import of as drift
from lading.lock.drift import of_bill as drift_of_bill
from lading.lock.dropping import (
    candidates,
    is_kept,
    kept_among,
    leaves_out,
    providing,
    trimmed,
    unknown,
    weighed,
)
from lading.lock.dropping import named as named_in
from lading.lock.files import is_fresh, read, write
from lading.lock.interpreter import BringPython, Chosen, choose
from lading.lock.places import ResolveBase
from lading.lock.question import Question
from lading.lock.requires import closure
from lading.lock.resolve import resolve
from lading.lock.settle import settled
from lading.lock.sources import pythons, surroundings

__all__ = [
    "BringPython",
    "Build",
    "BuildingFetch",
    "Chosen",
    "CondaSolver",
    "Git",
    "Job",
    "NoCompilerError",
    "Question",
    "ResolveBase",
    "build_for",
    "build_in",
    "candidates",
    "choose",
    "closure",
    "drift",
    "drift_of_bill",
    "is_fresh",
    "is_kept",
    "kept",
    "kept_among",
    "leaves_out",
    "named_in",
    "providing",
    "pythons",
    "read",
    "resolve",
    "settled",
    "surroundings",
    "trimmed",
    "unknown",
    "weighed",
    "write",
]
