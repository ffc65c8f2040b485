"""Files and a scorer in, an output file out: batch by batch, resumable."""

from lading.score.batches import MiniBatch, Placed, lend, mini_batches, place, plan
from lading.score.journal import Journal
from lading.score.run import ANY_NUMBER, FailedError, Rows, Scorer, Tally, run

__all__ = [
    "ANY_NUMBER",
    "FailedError",
    "Journal",
    "MiniBatch",
    "Placed",
    "Rows",
    "Scorer",
    "Tally",
    "lend",
    "mini_batches",
    "place",
    "plan",
    "run",
]
