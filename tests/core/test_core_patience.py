"""A wait is told of after ten seconds, and then every thirty."""

from __future__ import annotations

from lading.core.patience import Patience


def test_a_wait_is_told_of_every_so_often():
    told, now = [], [0.0]
    one = Patience(lambda event: told.append(event.text), "verify", "the model", 600, lambda: now[0])
    for second in range(95):
        now[0] = float(second)
        one.tell("503")
    times = [int(text.split(", for ")[1].split()[0]) for text in told]
    assert times == [10, 30, 60, 90]
    assert told[0] == "waiting for the model, for 10 of at most 600 s: 503"
