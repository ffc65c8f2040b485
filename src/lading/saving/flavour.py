"""What is asked of a way to save, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Trusts = Callable[[Path], tuple[str, ...]]
"""Takes a file that was written, returns the names in it that are not on the list of what is safe."""


@dataclass(frozen=True, slots=True)
class Saving:
    """A model on its way into a folder."""

    model: Any
    folder: Path
    sample: Any
    """A few of the inputs, as the author gave them; None where there are none."""
    method: str
    untrusted: Trusts


@dataclass(frozen=True, slots=True)
class Written:
    """What MLmodel has to say of the files that were written."""

    data: str
    """The model's file or folder, as `python_function` and the flavour name it."""
    settings: Mapping[str, Any]
    """The flavour's own keys."""
    loader_module: str
    """MLflow's, or a module below the code that is shipped."""
    libraries: tuple[str, ...]
    """The modules of the libraries that load it, such as `xgboost`."""
    pyfunc: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of `python_function`."""
    lading: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of our own."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flavour:
    """How a library's models are saved: what `lading.save` does, or what an author gives it.

    `write` writes the model into `saving.folder`; `predict` returns what the model itself answers to inputs.
    `code` is shipped with the model: a `loader_module` of one's own is there, with `_load_pyfunc(path)`, as
    MLflow has it.
    """

    name: str
    write: Callable[[Saving], Written]
    predict: Callable[[Any, Any], Any] = lambda model, inputs: model.predict(inputs)
    code: tuple[Path, ...] = ()
    prepare: Callable[[Any, Any], Any] = lambda _, inputs: inputs
    """Makes of the inputs of a model what a server will give it."""
