"""`lading convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from lading.cli.console import Common, Console, SandboxKind
from lading.cli.options import What
from lading.pipeline import converting
from lading.pipeline.context import Context


def run(
    model: Path | None = None,
    /,
    *,
    to: Literal["skops", "onnx", "pmml", "pt2", "safetensors"],
    output: Annotated[Path, Parameter(alias="-o")],
    tolerance: Annotated[float | None, Parameter(validator=Number(gte=0))] = None,
    timeout_s: Annotated[float, Parameter(validator=Number(gt=0))] = 900.0,
    offline: Annotated[bool, Parameter(negative="")] = False,
    sandbox: SandboxKind | None = None,
    what: What = What(),
    common: Common = Common(),
) -> int:
    """Write a model in a form that runs no code when it is loaded, and compare the answers of both.

    For example:

        lading convert model.pkl --to skops -o model.skops

        lading convert model.joblib --to onnx -o model.onnx --tolerance 1e-3

        lading convert model.ubj --to pmml -o model.pmml

        lading convert net.pth --to pt2 -o net.pt2 --code ./nets

    Args:
        model: A model's file or folder, or a lading.yaml; default: the lading.yaml here.
        to: skops or onnx, of an estimator; pmml, of an estimator or boosted trees of XGBoost or LightGBM; pt2
            (torch.export) or safetensors (its weights alone), of one of PyTorch.
        output: The file to write.
        tolerance: How far answers may be apart, relative to 1 + |expected|; default: 1e-9 for skops, 1e-4 for
            onnx, 1e-5 for pmml and pt2. Weights have to be the same.
        timeout_s: Seconds that converting may take, once what it needs is there.
        offline: Use what is cached, reach no network.
        sandbox: Where to do that: unshare, bwrap, podman or docker; default: the first that works.
    """
    console = Console(common)
    context = Context(common.settings(), console.event, offline=offline)
    made = converting.convert(
        context, what.spec(model), to, output, tolerance=tolerance, limit_s=timeout_s, sandbox=sandbox
    )
    console.close()
    rows = f"{made.rows} {'recorded' if made.recorded else 'made-up'} rows"
    told = (
        f"{rows} answered alike, off by {made.largest:.2g} at most"
        if made.rows
        else "its weights are the same"
    )
    console.result(f"{made.path}: {told}", made.to_json())
    return 0
