"""Results of `table.py` go in, tables for docs/formats.md come out."""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from measure import ratio, spread

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
OWN = ("format", "inspected", "signature", "lean", "full", "verified", "image MB", "start s")
BESIDE = ("format", "libraries MB", "start, CPU s", "start, wall s", "smaller", "sooner, CPU", "sooner, wall")
WALL, CPU = 0, 1
Results = Mapping[str, Mapping[str, Any]]


def tables(results: Results, page: str = "") -> str:
    """Print both tables; a row without results is that of the page, and one that failed says so."""
    beside = [name for name, one in results.items() if not one or (has(one, "own") and has(one, "peer"))]
    bases = {mb(one["own"]["base_bytes"]) for one in results.values() if has(one, "own")}
    bases.update(re.findall(r"the base is (\d+) MB", page))
    parts = [
        *_table(OWN, [(name, results[name] and _own(results[name])) for name in results], page),
        "",
        f"Of each image the base is {' to '.join(sorted(bases))} MB. Beside the image that `mlflow models",
        "generate-dockerfile` describes for the same model, its base left out (ours : MLflow's):",
        "",
        *_table(BESIDE, [(name, results[name] and _beside(results[name])) for name in beside], page),
    ]
    return "\n".join(parts)


def write(results: Results) -> None:
    """Put the tables into the page, between the markers; rows without results stay as they are."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    known, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{PAGE}: no {BEGIN} … {END}")
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables(results, known)}\n\n{END}{after}")


def has(result: Mapping[str, Any], part: str) -> bool:
    """Tell whether a part was measured."""
    return bool(result.get(part)) and "error" not in result[part]


def _table(head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], page: str) -> list[str]:
    begin = f"| {' | '.join(head)} |"
    _, _, there = page.partition(begin + "\n")
    known = {line.split("`")[1]: line for line in there.partition("\n\n")[0].splitlines() if "`" in line}
    lines = [f"| `{name}` | {' | '.join(cells)} |" if cells else known.get(name) for name, cells in rows]
    return [begin, "|---" * len(head) + "|", *filter(None, lines)]


def _own(one: Mapping[str, Any]) -> list[str]:
    if not has(one, "inspect"):
        return [failure(one, "train", "inspect"), *["–"] * (len(OWN) - 2)]
    seen = one["inspect"]
    inspected = f"{statistics.median(seen['cpu_s']):.1f} s, {seen['peak_bytes'] / 1e6:.0f} MB"
    if not has(one, "own"):
        return [inspected, _signature(seen, {}), failure(one, "own"), *["–"] * (len(OWN) - 4)]
    own = one["own"]
    size, start = mb(own["itself_bytes"]), failure(one, "start")
    if has(one, "start"):
        start = _both(one["start"]["itself" if own["compiled"] else "own"])
    if own["compiled"]:
        size += f"; compiled {mb(own['size_bytes'])}"
        start += f"; compiled {_both(one['start']['own'])}" if has(one, "start") else ""
    verified = f"{own['matched']} of {own['compared']}"
    if has(one, "full"):
        verified += f"; full {one['full']['matched']} of {one['full']['compared']}"
    return [inspected, _signature(seen, own), _lean(own), _full(one), verified, size, start]


def _signature(seen: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    if seen["inputs"] or seen["outputs"]:
        return f"{seen['inputs']} → {seen['outputs'] or 'not told'}"
    return "of the example" if own.get("signature") else "–"


def _lean(own: Mapping[str, Any]) -> str:
    return f"{own['libraries']} libraries, {mb(own['libraries_bytes'])} MB"


def _full(one: Mapping[str, Any]) -> str:
    if one.get("full") is None and "full" in one:
        return "–"
    if not has(one, "full"):
        return failure(one, "full")
    full = one["full"]
    return f"{full['libraries']} libraries, image {mb(full['size_bytes'])} MB"


def _beside(one: Mapping[str, Any]) -> list[str]:
    own, peer = one["own"], one["peer"]
    sizes = f"{mb(own['libraries_bytes'])} : {mb(peer['libraries_bytes'])}"
    smaller = f"{peer['libraries_bytes'] / max(own['libraries_bytes'], 1):.1f}×"
    if not has(one, "start") or "peer" not in one["start"]:
        return [sizes, failure(one, "start"), "–", smaller, "–", "–"]
    times = one["start"]
    ours, theirs = times.get("itself", times["own"]), times["peer"]
    both = [f"{spread(_nth(ours, place))} : {spread(_nth(theirs, place))}" for place in (CPU, WALL)]
    return [sizes, *both, smaller, *(ratio(_nth(ours, place), _nth(theirs, place)) for place in (CPU, WALL))]


def _nth(pairs: Sequence[Sequence[float]], place: int) -> list[float]:
    return [one[place] for one in pairs]


def _both(pairs: Sequence[Sequence[float]]) -> str:
    """Print the medians of CPU and wall seconds."""
    return " / ".join(f"{statistics.median(_nth(pairs, place)):.1f}" for place in (CPU, WALL))


def failure(one: Mapping[str, Any], *parts: str) -> str:
    """Say in a line why there is no figure."""
    for part in parts:
        if "error" in (one.get(part) or {}):
            lines = [line.strip() for line in one[part]["error"].splitlines() if line.strip()]
            return f"{part} failed: {lines[-1][:120]}".replace("|", "/")
    return "not measured"


def mb(size_bytes: int) -> str:
    """Print megabytes."""
    return f"{size_bytes / 1e6:.0f}" if size_bytes >= 1e6 or not size_bytes else f"{size_bytes / 1e6:.1f}"
