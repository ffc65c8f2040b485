"""A module of PyTorch, as TorchScript, exported or pickled, in; something to predict with out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lading_runtime.worker import inputs, results

# what a tensor of another size or type than the module was made for is refused with
_OF_INPUT = re.compile(
    r"shape|size|dimension|dtype|scalar type|should be the same|index out of range|Guard failed"
)
_OF_WHOLE_NUMBERS = re.compile(r"\bLong|\blong int|\bInt\b")


def load(path: str, options: Mapping[str, Any]) -> Program:
    """Load `file`, by its `form`: `script`, `program` (of torch.export) or `module` (pickled).

    `inputs` and `outputs` are names in order, `dtypes` what the inputs are; `imports` are modules that bring
    operators. On the first GPU that this worker sees, else the CPU.
    """
    import torch  # type: ignore[import-not-found,import-untyped,unused-ignore]

    for name in options.get("imports") or ():
        importlib.import_module(str(name))
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    file = os.path.join(path, str(options["file"]))  # noqa: PTH118 - see pickle.py
    form = options["form"]
    if form == "script":
        model = torch.jit.load(file, map_location=device).eval()
    elif form == "program":
        model = torch.export.load(file).module().to(device)
    else:
        # packing has looked at it, and this is the place to run it
        model = torch.load(file, weights_only=False, map_location=device).eval()
    return Program(torch, model, device, options)


class Program:
    """A module that is called with tensors."""

    def __init__(self, torch: Any, model: Any, device: str, options: Mapping[str, Any]) -> None:
        """Learn in which precision it works."""
        self._torch = torch
        self._model = model
        self._device = device
        self._inputs: Sequence[str] = options.get("inputs") or ()
        self._outputs: Sequence[str] = options.get("outputs") or ()
        self._dtypes = [getattr(torch, str(one)) for one in options.get("dtypes") or ()]
        floating = (one.dtype for one in model.parameters() if one.is_floating_point())
        self._float = next(floating, torch.float32)
        self.facts: Mapping[str, Any] = {"names": None, "width": None}

    def predict(self, request: inputs.Request) -> Any:
        """Predict; what does not fit the module's layers is refused."""
        given = self._given(request)
        try:
            with self._torch.no_grad():
                found = self._called(given)
        except (RuntimeError, AssertionError, IndexError, ValueError) as error:
            if isinstance(error, ValueError) or _OF_INPUT.search(str(error)):
                raise inputs.RefusedError(str(error)[:2000]) from error
            raise
        return self._answer(found)

    def _called(self, given: Sequence[Any]) -> Any:
        """Call the module; whole numbers, as JSON has some floats, become floats where it wants those."""
        tensors = [self._tensor(array, index) for index, array in enumerate(given)]
        try:
            return self._model(*tensors)
        except RuntimeError as error:
            is_told = self._dtypes or not _OF_WHOLE_NUMBERS.search(str(error))
            if is_told or all(one.is_floating_point() for one in tensors):
                raise
        return self._model(*(one.to(self._float) for one in tensors))

    def _given(self, request: inputs.Request) -> Sequence[Any]:
        """List arrays in the order of the module's inputs."""
        if request.content == "tensors":
            arrays = request.arrays()
        elif request.content == "frame" and len(self._inputs) > 1:
            names, rows = request.table()
            columns = zip(*rows)  # noqa: B905
            arrays = dict(zip(names or self._inputs, map(list, columns)))  # noqa: B905
        else:
            return [request.array()]
        if len(arrays) > 1 and set(self._inputs) >= set(arrays):
            return [arrays[name] for name in self._inputs if name in arrays]
        return list(arrays.values())

    def _tensor(self, given: Any, index: int) -> Any:
        import numpy as np

        array = np.asarray(given)
        if array.dtype == object:
            array = np.array(array.tolist())
        if array.dtype.kind not in "biuf":
            message = f"got values of type {array.dtype}, expected numbers"
            raise inputs.RefusedError(message)
        tensor = self._torch.from_numpy(np.array(array)).to(self._device)
        if index < len(self._dtypes):
            return tensor.to(self._dtypes[index])
        return tensor.to(self._float) if tensor.is_floating_point() else tensor

    def _answer(self, found: Any) -> Any:
        """Give one tensor as it is, several by name."""
        if isinstance(found, self._torch.Tensor):
            return self._array(found)
        if isinstance(found, Mapping):
            named = dict(found)
        elif isinstance(found, (tuple, list)):
            names = getattr(found, "_fields", None) or self._outputs
            if len(names) != len(found):
                names = [f"output-{index}" for index in range(len(found))]
            named = dict(zip(names, found))  # noqa: B905
        else:
            return found
        tensors = {str(name): one for name, one in named.items() if one is not None}
        if not all(isinstance(one, self._torch.Tensor) for one in tensors.values()):
            return {name: self._answer(one) for name, one in tensors.items()}
        arrays = {name: self._array(one) for name, one in tensors.items()}
        return results.Named(arrays) if len(arrays) > 1 else next(iter(arrays.values()), [])

    def _array(self, tensor: Any) -> Any:
        tensor = tensor.detach().cpu()
        return (
            tensor.float() if tensor.dtype in {self._torch.bfloat16, self._torch.float16} else tensor
        ).numpy()
