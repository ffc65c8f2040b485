"""What predicts from a table in, what a worker asks out: for every library whose `predict` takes rows.

A request by columns is a DataFrame where the model's environment has pandas, as MLflow's own loaders have it,
else an array; any other is an array.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Optional

from lading_runtime import wire
from lading_runtime.worker import inputs, results


class Table:
    """A model of rows; `estimator` is what a compiler may know."""

    estimator: Any = None

    def __init__(
        self,
        predict: Callable[..., Any],
        *,
        names: Optional[Sequence[str]] = None,  # noqa: UP045 - evaluated under Python 3.8 too
        width: Optional[int] = None,  # noqa: UP045
        batches: bool = False,
        takes_params: bool = False,
        by_columns: bool = False,
        by_name: bool = False,
        numbered: bool = False,
    ) -> None:
        """`batches` says that a row's prediction does not hang on the rows beside it.

        `by_columns` keeps the numbers of a frame column by column, as MLflow does: what is added up in
        another order may differ in its last digit. `by_name` has tensors come by name, one alone too.
        `numbered` has the columns of a frame be called 0, 1 and so on.
        """
        self._predict = predict
        self._takes_params = takes_params
        self._by_columns = by_columns
        self._by_name = by_name
        self._numbered = numbered
        self._refusals = inputs.REFUSALS if batches else (ValueError,)
        self.takes_frames = inputs.has_pandas()
        self.facts = {"names": names and list(names), "width": width, "batches": batches}

    def predict(self, request: inputs.Request) -> Any:
        """Predict; a ValueError is the library's way to refuse an input, as are errors of types of cells."""
        data = self._data(request)
        params = dict(request.params) if self._takes_params and request.params else {}
        try:
            value = self._predict(data, **params)
        except self._refusals as error:
            raise inputs.RefusedError(str(error)[:2000]) from error
        is_by_row = self.facts["batches"] and hasattr(value, "shape")
        return results.check_rows(value, request.rows) if is_by_row else value

    def _data(self, request: inputs.Request) -> Any:
        if request.content == "tensors":
            arrays = request.arrays()
            return next(iter(arrays.values())) if len(arrays) == 1 and not self._by_name else arrays
        if request.content == "frame" and self.takes_frames:
            frame = request.frame(by_columns=self._by_columns)
            if self._numbered:
                frame.columns = range(len(frame.columns))
            return frame
        if self._by_name and request.content == "array" and request.names != [wire.UNNAMED]:
            return request.arrays()  # as MLflow has it of a tensor that its signature names
        return request.array()
