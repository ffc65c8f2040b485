"""A compiled form's folder in, what a worker predicts with out: for forms that need libraries to answer."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from lading_runtime import wire
from lading_runtime.compiled.form import Form, Refused
from lading_runtime.worker import inputs

_TRIAL_ROWS = 64


def load(path: str, options: Mapping[str, Any]) -> Compiled:
    """Load a form; there are no options."""
    del options
    return Compiled(Form(path))


class Compiled:
    """A form that predicts, a row by itself."""

    def __init__(self, form: Form) -> None:
        """Take the form."""
        self.form = form
        self.facts = {**form.facts, "batches": True}

    def warm(self) -> float | None:
        """Predict for rows of noughts; return the seconds per row, None where these are refused."""
        width, names = self.form.width, self.form.facts["names"]
        data = bytes(8 * width * _TRIAL_ROWS)
        entry = wire.tensor("matrix", "FP64", [_TRIAL_ROWS, width], data)
        content = "frame" if names else "array"
        try:
            self.form.answer(content, [(entry, data)], names)
            started = time.process_time()
            self.form.answer(content, [(entry, data)], names)
        except Exception:  # noqa: BLE001 - zeros may be nothing that it answers
            return None
        return (time.process_time() - started) / _TRIAL_ROWS

    def predict(self, request: inputs.Request) -> Any:
        """Predict; what the original refuses is refused."""
        try:
            header, data = self.form.answer(request.content, *request.encoded())
        except Refused as error:
            raise inputs.RefusedError(str(error)) from error
        return inputs.read(header["outputs"][0], memoryview(bytearray(data)))
