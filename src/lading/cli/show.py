"""`lading show`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from lading.cli.console import Common, Console, size
from lading.core.bill import Bill, BilledEnvironment, BilledRequirement
from lading.core.lock import Dropped
from lading.core.platform import Platform
from lading.core.signature import Field
from lading.core.tracked import Record
from lading.pipeline import foreign
from lading.pipeline.context import Context
from lading.pipeline.foreign import Foreign
from lading.pipeline.shelf import Package

_MOST_TOLD = 8


def run(
    package: str,
    /,
    *,
    platform: str | None = None,
    common: Common = Common(),
) -> int:
    """Show the bill of a package: model, environment, server, layers, and how it was verified.

    For example:

        lading show iris:1

        lading show iris:1 --json | jq .bill.environment.packages

    Args:
        package: A name, a digest, or the beginning of one.
        platform: One of a package of several platforms; default: this machine's.
    """
    console = Console(common)
    context = Context(common.settings(), console.event)
    found = foreign.look(context, package, Platform.parse(platform) if platform else None)
    lines = _foreign(found) if isinstance(found, Foreign) else _lines(found)
    console.result("\n".join(lines), found.to_json())
    return 0


def _foreign(found: Foreign) -> Iterator[str]:
    yield f"{found.descriptor.digest}  {size(found.size_bytes)}  {found.platform or 'no platform'}"
    yield "  an image that is no package of lading's: it has no bill"
    yield ""
    for key, value in found.settings.items():
        yield f"{key.lower():<12} {json.dumps(value)}"
    yield f"layers       {len(found.layers)}"
    for layer in found.layers:
        yield f"             {size(layer.size_bytes):>7}  {layer.digest.short}"


def _lines(found: Package) -> Iterator[str]:
    bill = found.bill
    model, environment = bill.model, bill.environment
    version = f" {bill.version}" if bill.version else ""
    yield f"{bill.name}{version}  {found.descriptor.digest}  {size(found.image.size_bytes)}  {bill.platform}"
    if bill.description:
        yield f"  {bill.description}"
    yield ""
    yield f"model        {model.flavour}, {size(sum(one.size_bytes for one in model.files))}"
    yield from _fetched(bill)
    for note in model.notes:
        yield f"             {note}"
    yield from _recorded(model.record)
    for title, fields in (
        ("inputs", model.signature and model.signature.inputs),
        ("outputs", model.signature and model.signature.outputs),
    ):
        if fields:
            yield f"{title:<12} " + ", ".join(_field(one) for one in fields)
    for risk in model.risks:
        yield f"risk         {risk.name} at {risk.where}: {risk.why}"
    accelerator = f", {environment.accelerator}" if environment.accelerator else ""
    image = f" ({environment.base_digest})" if environment.base_digest else ""
    yield f"environment  {environment.base}{image}, Python {environment.python}{accelerator}"
    yield from (f"             {line}" for line in _slim(environment))
    origins = {_name_of(one.requirement): _origin(one) for one in model.requirements}
    for one in environment.packages:
        origin = f"  ({origins[one.name]})" if one.name in origins else ""
        yield f"             {one.name} {one.version}  {size(one.size_bytes)}{origin}"
    for conda in environment.conda_packages:
        yield f"             {conda.name} {conda.version} {conda.build}  {size(conda.size_bytes)}  (conda)"
    yield from (f"             {line}" for line in _system_packages(environment))
    yield from _left_out(environment.dropped)
    yield f"server       {bill.server.name}, port {bill.server.port}, " + ", ".join(
        f"{key} {route}" for key, route in sorted(bill.server.routes.items())
    )
    yield "             " + ", ".join(f"{one.name} {one.version}" for one in bill.server.packages)
    if bill.code:
        yield f"code         {bill.code.entry}"
    yield from _inputs(bill)
    yield from _served_by(found)
    yield f"layers       {len(found.image.layers)}, the largest:"
    for layer in sorted(found.image.layers, key=lambda one: -one.descriptor.size_bytes)[:5]:
        yield f"             {size(layer.descriptor.size_bytes):>7}  {layer.title}"
    yield f"verified     {_verified(found)}"


def _left_out(dropped: Sequence[Dropped]) -> Iterator[str]:
    """Tell what serving does not need, by what it is for."""
    for number, why in enumerate(sorted({one.why for one in dropped})):
        found = [one for one in dropped if one.why == why]
        names = ", ".join(one.name for one in found[:_MOST_TOLD])
        more = f" and {len(found) - _MOST_TOLD} more" if len(found) > _MOST_TOLD else ""
        title = "" if number else "left out"
        yield f"{title:<12} {size(sum(one.size_bytes for one in found))}, {why}: {names}{more}"


def _recorded(record: Record | None) -> Iterator[str]:
    """Tell where a tracked model came from, and a few words of how it was made."""
    if record is None:
        return
    found = [f"version {record.version} of {record.name}"] if record.name else []
    found += [record.model_id] if record.model_id else []
    found += [f"run {record.run_id}"] if record.run_id else []
    at = f" at {record.server}" if record.server else ""
    yield f"recorded     {record.asked}{at}" + (f": {', '.join(found)}" if found else "")
    if record.commit:
        yield f"             git commit {record.commit}"
    numbers = [f"{name} {value:g}" for name, value in record.metrics.items()]
    words = [f"{name}={value}" for name, value in record.params.items()]
    for title, listed in (("metrics", numbers), ("params", words)):
        if listed:
            more = f" and {len(listed) - _MOST_TOLD} more" if len(listed) > _MOST_TOLD else ""
            yield f"             {title}: {', '.join(listed[:_MOST_TOLD])}{more}"


def _fetched(bill: Bill) -> Iterator[str]:
    if bill.model.mode == "download":
        yield f"             fetched at start from {_sources(bill.model.sources)}"


def _inputs(bill: Bill) -> Iterator[str]:
    for one in bill.inputs:
        come = f", fetched at start from {_sources(one.sources)}" if one.mode == "download" else ""
        yield f"input        {one.path}, {size(sum(file.size_bytes for file in one.files))}{come}"


def _sources(sources: Sequence[str]) -> str:
    return ", ".join(sources) or "where it was pushed to: LADING_MODEL_SOURCE=oci://HOST/PATH says where"


def _served_by(found: Package) -> Iterator[str]:
    """Tell of the form that answers in the model's place, with what verification measured of both."""
    form = found.bill.model.compiled
    proof = (found.report or {}).get("proof") or {}
    if form is None:
        if reason := proof.get("reason"):
            yield f"served by    the model itself, not compiled: {reason}"
        return
    exact = "bit-identical" if form.tolerance == 0 else f"within {form.tolerance:g}"
    before, after = proof.get("original_us"), proof.get("compiled_us")
    speed = f", {before:,.0f} → {after:,.0f} µs a row" if before and after else ""
    by = "" if form.way == "auto" else f" by {form.way}"
    yield f"served by    compiled {form.kind}{by}, {exact} on {form.probes:,} probes{speed}"
    yield f"             the model and its libraries are in {form.original}: lading serve --no-compile"


def _slim(environment: BilledEnvironment) -> Iterator[str]:
    """Tell what was left out of the wheels, and of which most."""
    if environment.slim is None:
        return
    by_name: dict[str, int] = {}
    for one in environment.slim:
        by_name[one.name] = by_name.get(one.name, 0) + one.size_bytes
    most = sorted(by_name.items(), key=lambda pair: (-pair[1], pair[0]))
    more = f" and of {len(most) - _MOST_TOLD} more" if len(most) > _MOST_TOLD else ""
    told = ", ".join(f"{name} {size(bytes_)}" for name, bytes_ in most[:_MOST_TOLD])
    yield f"slim: {size(sum(by_name.values()))} left out of the wheels" + (
        f": of {told}{more}" if told else ""
    )


def _system_packages(environment: BilledEnvironment) -> Iterator[str]:
    """Tell what was asked for, and what the base is made of or an image got."""
    found = {one.name: one.version for one in environment.system_packages}
    if environment.base_digest is None:
        yield f"{len(found)} Debian packages"
    elif found:
        yield f"{len(found)} system packages added to the image: {', '.join(found)}"
    else:
        yield "no system packages added to the image"
    if asked := environment.system_packages_asked:
        # a name that stands for several packages, or that the image has, is not among what was added
        told = (f"{one} {found[one]}" if one in found else f"{one} (nothing so named added)" for one in asked)
        yield f"system packages asked for: {', '.join(told)}"


def _name_of(requirement: str) -> str:
    """Return the normalised name (PEP 503) that a requirement begins with."""
    name = re.match(r"[\w.-]*", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def _origin(asked: BilledRequirement) -> str:
    return f"{asked.origin}, conda's {asked.mapped_from}" if asked.mapped_from else asked.origin


def _field(field: Field) -> str:
    kind = f"{field.dtype}{list(field.shape or ())}" if field.type == "tensor" else field.type
    return f"{field.name}: {kind}" if field.name else kind


def _verified(found: Package) -> str:
    report = found.report
    if report is None:
        return "not yet; run `lading verify`"
    outcome = "passed" if report["passed"] else "FAILED"
    seen = next((one["detail"] for one in report["checks"] if one["name"] == "predictions"), "it runs")
    speed = f"ready in {report['ready_s']:.1f} s"
    if report["latency_ms"] or report["peak_memory_bytes"]:
        speed += f", {report['latency_ms']:.1f} ms a request, {size(report['peak_memory_bytes'])}"
    return f"{outcome} in {report['sandbox']}: {seen}, {speed}"
