"""A module of PyTorch, as TorchScript, exported or pickled, in; something to predict with out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import importlib
import inspect
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lading_runtime.worker import inputs, results

# what a tensor of another size or type than the module was made for is refused with
_OF_INPUT = re.compile(
    r"shape|size|dimension|dtype|scalar type|should be the same|index out of range|Guard failed"
)
_MOST_CHOSEN = 6
"""Of so many inputs that may be floats, each choice is tried."""
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
    if form == "program":
        return Exported(torch, torch.export.load(file), device, options)
    if form == "script":
        model = torch.jit.load(file, map_location=device).eval()
        slots = [
            Slot(one.name, one.type.annotation_str, not one.has_default_value())
            for one in model.forward.schema.arguments[1:]
        ]
    else:
        # packing has looked at it, and this is the place to run it
        model = torch.load(file, weights_only=False, map_location=device).eval()
        slots = _slots(model.forward)
    return Method(torch, model, device, options, slots)


class Slot(NamedTuple):
    """An argument of a module: `kind` as TorchScript writes it, such as `Dict[str, Tensor]`."""

    name: str
    kind: str = "Tensor"
    is_required: bool = True


def _slots(function: Any) -> list[Slot]:
    """List the arguments of Python's own method; none where it takes any number."""
    found = list(inspect.signature(function).parameters.values())
    if any(one.kind in {one.VAR_POSITIONAL, one.VAR_KEYWORD} for one in found):
        return []
    return [
        Slot(
            one.name,
            "Dict[str, Tensor]" if re.search(r"\b(?:[dD]ict|Mapping)\[", str(one.annotation)) else "Tensor",
            one.default is one.empty,
        )
        for one in found
    ]


def _fewer(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Choose some of several inputs: one, then two, and so on."""
    if len(names) <= _MOST_CHOSEN:
        for count in range(1, len(names)):
            yield from itertools.combinations(names, count)


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
        try:
            given = {
                name: self._tensor(one, name, at)
                for at, (name, one) in enumerate(self._given(request).items())
            }
            with self._torch.no_grad():
                found = self._called(given)
        except (RuntimeError, AssertionError, IndexError, ValueError) as error:
            if isinstance(error, ValueError) or _OF_INPUT.search(str(error)):
                raise inputs.RefusedError(str(error)[:2000]) from error
            raise
        return self._answer(found)

    def _called(self, given: Mapping[str, Any]) -> Any:
        """Call the module; whole numbers, as JSON has some floats, become floats where it wants those."""
        try:
            return self._asked(given)
        except RuntimeError as error:
            whole = [name for name, one in given.items() if not one.is_floating_point()]
            if self._dtypes or not whole or not _OF_WHOLE_NUMBERS.search(str(error)):
                raise
            refused = error
        for names in (whole, *_fewer(whole)):
            floats = {name: given[name].to(self._float) for name in names}
            try:
                return self._asked({**given, **floats})
            except RuntimeError as error:
                # what is wrong with floats is what is wrong
                refused = refused if _OF_WHOLE_NUMBERS.search(str(error)) else error
        raise refused

    def _asked(self, given: Mapping[str, Any]) -> Any:
        """Call it with tensors by their place."""
        return self._model(*given.values())

    def _takes_columns(self, names: Sequence[str]) -> bool:
        """Tell whether the columns of a frame are inputs, each, and not one input side by side."""
        return len(names) > 1 and len(self._inputs) > 1

    def _given(self, request: inputs.Request) -> Mapping[str, Any]:
        """Name the arrays, in the order of the module's inputs."""
        if request.content == "tensors":
            arrays = request.arrays()
        elif request.content == "frame" and self._takes_columns(request.columns):
            names, rows = request.table()
            columns = zip(*rows)  # noqa: B905
            arrays = dict(zip(names or self._inputs, map(list, columns)))  # noqa: B905
        else:
            return {"": request.array()}
        if len(arrays) > 1 and set(self._inputs) >= set(arrays):
            return {name: arrays[name] for name in self._inputs if name in arrays}
        return arrays

    def _tensor(self, given: Any, name: str, at: int) -> Any:
        import numpy as np

        array = np.asarray(given)
        if array.dtype == object:
            array = np.array(array.tolist())
            if not name and array.ndim > 2 and array.shape[1] == 1 and np.asarray(given).ndim == 2:
                array = array[:, 0]  # a frame of one column, whose cells are lists
        if array.dtype.kind not in "biuf":
            message = f"got values of type {array.dtype}, expected numbers"
            raise inputs.RefusedError(message)
        tensor = self._torch.from_numpy(np.array(array)).to(self._device)
        at = self._inputs.index(name) if name in self._inputs else at
        if at < len(self._dtypes):
            return tensor.to(self._dtypes[at])
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


class Method(Program):
    """A module whose method says what it takes."""

    def __init__(
        self, torch: Any, model: Any, device: str, options: Mapping[str, Any], slots: Sequence[Slot]
    ) -> None:
        """Keep what it takes, none where nobody knows."""
        super().__init__(torch, model, device, options)
        self._slots = slots

    def _takes_columns(self, names: Sequence[str]) -> bool:
        known = {one.name for one in self._slots}
        needed = [one for one in self._slots if one.is_required]
        is_several = len(needed) > 1 or any(not one.kind.endswith("Tensor") for one in needed)
        return len(names) > 1 and (is_several or bool(known & set(names)))

    def _asked(self, given: Mapping[str, Any]) -> Any:
        """Call it by name: what has another name is taken in order, what is left over is refused."""
        if not self._slots:
            return super()._asked(given)
        left = dict(given)
        arguments = {
            one.name: self._value(one.kind, [left.pop(one.name)]) for one in self._slots if one.name in left
        }
        for slot in self._slots:
            if slot.name not in arguments and (taken := self._taken(slot, left)) is not None:
                arguments[slot.name] = taken
            elif slot.name not in arguments and slot.is_required:
                message = f"the input {slot.name!r} is missing, expected {[one.name for one in self._slots]}"
                raise inputs.RefusedError(message)
        if left:
            message = f"got the inputs {list(given)}, expected {[one.name for one in self._slots]}"
            raise inputs.RefusedError(message)
        return self._model(**arguments)

    def _taken(self, slot: Slot, left: dict[str, Any]) -> Any:
        """Take what an argument is made of from what is left; None where nothing is."""
        if not left:
            return None
        if slot.kind.startswith("Dict["):
            taken = dict(left)
            left.clear()
            return taken
        count = len(left) if slot.kind.startswith("List[") else slot.kind.count("Tensor") or 1
        return self._value(slot.kind, [left.pop(name) for name in list(left)[:count]])

    def _value(self, kind: str, tensors: Sequence[Any]) -> Any:
        """Make a value of a kind of tensors."""
        if kind.startswith(("List[", "Tuple[")):
            found = list(tensors[0].unbind(0)) if len(tensors) == 1 and tensors[0].ndim else list(tensors)
            return found if kind.startswith("List[") else tuple(found)
        if kind in {"int", "float", "bool"} and tensors[0].numel() == 1:
            return {"int": int, "float": float, "bool": bool}[kind](tensors[0].item())
        return tensors[0]


class Exported(Program):
    """A program of `torch.export`: its inputs stand in a tree, among numbers that are fixed."""

    def __init__(self, torch: Any, program: Any, device: str, options: Mapping[str, Any]) -> None:
        """Keep the tree."""
        super().__init__(torch, program.module().to(device), device, options)
        kinds = importlib.import_module("torch.export.graph_signature")
        self._tree = importlib.import_module("torch.utils._pytree")
        self._spec = program.call_spec.in_spec
        self._leaves = [
            one.arg for one in program.graph_signature.input_specs if one.kind == kinds.InputKind.USER_INPUT
        ]
        self._fixed = kinds.ConstantArgument

    def _asked(self, given: Mapping[str, Any]) -> Any:
        tensors = list(given.values())
        expected = sum(not isinstance(one, self._fixed) for one in self._leaves)
        if len(tensors) != expected:
            message = f"got {len(tensors)} inputs, expected {expected}: {list(self._inputs)}"
            raise inputs.RefusedError(message)
        flat = [one.value if isinstance(one, self._fixed) else tensors.pop(0) for one in self._leaves]
        arguments, named = self._tree.tree_unflatten(flat, self._spec)
        found = self._model(*arguments, **named)
        leaves = [one for one in self._tree.tree_leaves(found) if isinstance(one, self._torch.Tensor)]
        return dict(zip(self._outputs, leaves)) if len(leaves) == len(self._outputs) else found  # noqa: B905
