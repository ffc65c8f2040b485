"""The metrics of several servers in, one document out: each line with the model that it is of."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(.*)\})? (.*)")
_PARTS = re.compile(r"_(bucket|sum|count|total|created)$")


END = b"# EOF\n"


def metrics(texts: Iterable[tuple[str, str, str]], *, open_metrics: bool = False) -> bytes:
    """Merge (model, version, text) in Prometheus' format, version 0.0.4, or all in OpenMetrics'.

    A family's lines stand together.
    """
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for model, version, text in texts:
        own = f'model="{_escape(model)}",version="{_escape(version)}"'
        for line in text.splitlines():
            if line.startswith("#"):
                words = line.split(" ", 3)
                if len(words) > 3:
                    head = heads.setdefault(words[2], [])
                    if not any(one.startswith(f"# {words[1]} ") for one in head):
                        head.append(line)
            elif found := _SAMPLE.fullmatch(line):
                name, _, labels, value = found.groups()
                # names of our own stand before those that the server gives, of which one may be the same
                others = [one for one in _labels(labels or "") if not one.startswith(("model=", "version="))]
                family = name if name in heads else _PARTS.sub("", name)
                samples.setdefault(family, []).append(f"{name}{{{','.join((own, *others))}}} {value}")
    lines = [line for family in samples for line in (*heads.get(family, ()), *samples[family])]
    return "".join(f"{line}\n" for line in lines).encode() + (END if open_metrics else b"")


def _labels(text: str) -> list[str]:
    """Split `a="b",c="d"`; a value may have commas and escaped quotes in it."""
    return re.findall(r'[a-zA-Z_]\w*="(?:[^"\\]|\\.)*"', text)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
