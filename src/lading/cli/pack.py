"""`lading pack`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from lading.cli.console import Common, Console, SandboxKind, size
from lading.cli.options import What
from lading.pipeline import packing
from lading.pipeline.context import Context


def run(
    model: str | None = None,
    /,
    *,
    tag: Annotated[tuple[str, ...], Parameter(alias="-t", negative="")] = (),
    locked: Annotated[bool, Parameter(negative="")] = False,
    upgrade: Annotated[bool, Parameter(negative="")] = False,
    offline: Annotated[bool, Parameter(negative="")] = False,
    verify: bool = True,
    no_compile: Annotated[bool, Parameter(negative="")] = False,
    slim: bool | None = None,
    sandbox: SandboxKind | None = None,
    what: What = What(),
    common: Common = Common(),
) -> int:
    """Turn a model into a sealed, verified package.

    For example:

        lading pack ./iris-model -t iris:1

        lading pack model.joblib -t iris:1 -r scikit-learn==1.7.2 --python 3.11

        lading pack lading.yaml --locked --json

    Args:
        model: A model's file or folder, models:/NAME/VERSION or runs:/RUN/PATH of MLflow's, or a lading.yaml;
            default: the lading.yaml here.
        tag: Name of the package, such as iris:1; may be repeated. Default: the spec's, or the model's name.
        locked: Refuse to resolve: the lock must be there and fresh.
        upgrade: Resolve anew although the lock is fresh.
        offline: Use what is cached, reach no network.
        no_compile: Let the model itself answer, whatever the spec says of compiling it.
        verify: Replay the recorded predictions in a sandbox before sealing.
        slim: Leave out of wheels what nothing needs that runs: tests, sources, static libraries, docs.
        sandbox: Where to verify: unshare, bwrap, podman or docker; default: the first that works.
    """
    console = Console(common)
    context = Context(common.settings(), console.event, offline=offline)
    spec = what.spec(model)
    spec = spec if slim is None else replace(spec, slim=slim)
    packed = packing.pack(
        context,
        replace(spec, compile="off", compile_tolerance=None) if no_compile else spec,
        names=tag,
        locked=locked,
        upgrade=upgrade,
        verify=verify,
        sandbox=sandbox,
    )
    names = [str(name) for name in packed.references]
    text = "\n".join(f"{name}  {packed.digest}  {size(packed.size_bytes)}" for name in names)
    console.result(text, packed.to_json())
    return 0
