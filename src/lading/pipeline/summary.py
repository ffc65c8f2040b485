"""Facts, locks, layers and reports go in; the one line that sums each up comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lading.core.bill import BilledSlim
from lading.core.errors import Issue
from lading.core.image import Layer
from lading.core.lock import ALONE, Dropped, Lock
from lading.core.model import ModelFacts
from lading.core.platform import Platform
from lading.core.report import Report
from lading.core.signature import Field, Signature
from lading.core.spec import TOLERANT

_MOST_NAMES = 5


def of_facts(facts: ModelFacts) -> str:
    """Print `sklearn RandomForestClassifier, pickle protocol 5, signature 4 columns → 1, no risks`."""
    parts = [facts.flavour, *facts.notes, _signature(facts.signature)]
    if facts.missing:
        modules = ", ".join(map(repr, facts.missing))
        parts.append(f"nothing installed provides {modules}: name it in requirements, or ship it as code")
    names = sorted({risk.name for risk in facts.risks})
    more = ", …" if len(names) > 5 else ""
    parts.append(f"{_count(len(facts.risks), 'risk')}: {', '.join(names[:5])}{more}" if names else "no risks")
    return ", ".join(parts)


def _signature(signature: Signature | None) -> str:
    if signature is None or not signature.inputs:
        return "no signature"
    inputs = _count(len(signature.inputs), "column")
    if any(one.type == "tensor" for one in signature.inputs):
        inputs = f"tensor {_shapes(signature.inputs)}"
    outputs = f" → {_shapes(signature.outputs)}" if signature.outputs else ""
    return f"signature {inputs}{outputs}"


def _shapes(fields: Sequence[Field]) -> str:
    """Print what one row has: the number of columns, or each tensor's shape without its first dimension."""
    if all(one.type != "tensor" for one in fields):
        return str(len(fields))
    shapes = ((one.shape or ())[1:] for one in fields)
    return ", ".join("×".join("n" if size < 0 else str(size) for size in shape) or "1" for shape in shapes)


def of_lock(lock: Lock, *, fresh: bool) -> str:
    """Print `9 packages for linux/amd64, Python 3.11, server lading (no clash)`."""
    first = lock.platforms[0]
    platforms = ", ".join(str(one.platform) for one in lock.platforms)
    packages = _count(len(first.model) + len(first.server), "package")
    apart = "no clash" if first.server else "resolved jointly"
    kept = ", as locked" if fresh else ""
    return (
        f"{packages} for {platforms}, Python {first.interpreter.minor}, server {lock.server} ({apart}){kept}"
    )


def of_dropped(lock: Lock) -> str:
    """Print `left out matplotlib, mlflow and 31 more that only they need: 214.0 MB less`."""
    dropped = lock.platforms[0].dropped
    largest = sorted((one for one in dropped if one.why != ALONE), key=lambda one: -one.size_bytes)
    named = [one.name for one in largest][:_MOST_NAMES]
    more = len(dropped) - len(named)
    others = f" and {more} more" if more else ""
    return f"left out {', '.join(named)}{others}: {_megabytes(dropped)} less"


def _megabytes(dropped: Sequence[Dropped]) -> str:
    return f"{sum(one.size_bytes for one in dropped) / 1e6:.1f} MB"


def of_layers(layers: Sequence[Layer], cached: int) -> str:
    """Print `14 layers, 11 from cache`."""
    return f"{_count(len(layers), 'layer')}, {'all' if cached == len(layers) else cached} from cache"


def of_slim(rows: Sequence[BilledSlim]) -> str:
    """Print `61.3 MB left out of the wheels (17.2 MB packed): tests 45.0 MB, sources 16.3 MB`."""
    by_kind: dict[str, int] = {}
    for one in rows:
        by_kind[one.kind] = by_kind.get(one.kind, 0) + one.size_bytes
    largest = sorted(by_kind.items(), key=lambda pair: -pair[1])
    kinds = ", ".join(f"{kind} {size / 1e6:.1f} MB" for kind, size in largest)
    packed = sum(one.packed_bytes for one in rows)
    total = f"{sum(by_kind.values()) / 1e6:.1f} MB left out of the wheels"
    return (
        f"{total} ({packed / 1e6:.1f} MB packed): {kinds}" if rows else "nothing to leave out of the wheels"
    )


def of_proof(proof: Mapping[str, Any], tolerance: float) -> str:
    """Print `compiled RandomForestClassifier, bit-identical on 62,340 probes, 4,330 → 12 µs a row`.

    What was made again may differ here from what was proved where it was made first: that is told.
    """
    if not proof.get("proved"):
        return f"compiled {proof['kind']} as it was; on this processor {proof.get('reason')}"
    by = f" by {proof['mode']}" if proof.get("mode") in TOLERANT else ""
    exact = f"within {tolerance:g}" if tolerance else "bit-identical"
    before, after = proof.get("original_us"), proof.get("compiled_us")
    speed = f", {before:,.0f} → {after:,.0f} µs a row" if before and after else ""
    return f"compiled {proof['kind']}{by}, {exact} on {proof['probes']:,} probes{speed}"


def of_foreign(platform: Platform, problem: Issue) -> str:
    """Say what it means that a platform cannot be run here."""
    return (
        f"{platform} is sealed without having been run, and without byte code, so that its digest is another "
        f"than that of a machine which can run it: {problem.what}{f' ({problem.fix})' if problem.fix else ''}"
    )


def of_report(report: Report, platform: Platform, *, again: bool) -> str:
    """Print `read-only, no network: 150 of 150 recorded predictions match, ready in 0.9 s, 118 MB`.

    What ran emulated is told with its platform: its times are the emulator's.
    """
    emulated = f"{platform} by {report.emulator}, " if report.emulator else ""
    seen = next((check.detail for check in report.checks if check.name == "predictions"), "it runs")
    memory = f", {report.peak_memory_bytes / 1e6:.0f} MB" if report.peak_memory_bytes else ""
    without = f", without {_count(len(report.dropped), 'library', 'libraries')}" if report.dropped else ""
    less = f"{without} ({_megabytes(report.dropped)})" if without else ""
    before = ", as verified before" if again else ""
    return f"{emulated}read-only, no network: {seen}, ready in {report.ready_s:.1f} s{memory}{less}{before}"


def _count(number: int, noun: str, several: str = "") -> str:
    return f"{number} {noun if number == 1 else several or noun + 's'}"
