"""What a server wrote goes in; why it ended, in a line, comes out."""

from __future__ import annotations

import re

_TRACE = "Traceback (most recent call last):"
_BESIDE = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
_RAISED = re.compile(r"[A-Za-z_][\w.]*(: .*)?$")
_LINES = 5
_CHARACTERS = 1500


def last_words(output: str) -> str:
    """Return the error that began the last traceback, and where; without one, the last lines."""
    return raised(output) or " | ".join(output.strip().splitlines()[-_LINES:])[-_CHARACTERS:] or "nothing"


def raised(output: str) -> str | None:
    """Return the error that began the last traceback, and where; None where there is none."""
    lines = output.strip().splitlines()
    starts = [number for number, line in enumerate(lines) if line.endswith(_TRACE)]
    if starts:
        first = starts[-1]
        for earlier in reversed(starts[:-1]):
            # one that led to the next is told before it, with a sentence between them
            if not any(line in _BESIDE for line in lines[earlier:first]):
                break
            first = earlier
        place = ""
        for line in lines[first + 1 :]:
            if frame := _FRAME.match(line.strip()):
                place = f" ({frame['file']}, line {frame['line']})"
            elif line[:1].strip() and _RAISED.match(line):
                return f"{line}{place}"[:_CHARACTERS]
    return None
