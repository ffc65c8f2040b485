"""What `torch.save` has written in, followed without PyTorch; what loading it would name and make out.

Since 1.6 it is a zip: one pickle, `data.pkl`, and a file of bytes for each storage. Before, it was five
pickles one behind the other (a magic number, a version, the sizes of types, the object, the storages' keys)
and raw bytes. A storage stands in the pickle as a persistent id.
"""

from __future__ import annotations

import math
import tarfile
from collections import Counter
from dataclasses import dataclass, field
from typing import IO

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFile
from lading.model.code import FirstParty
from lading.model.compression import open_source
from lading.model.plain import start_of
from lading.model.source import Source
from lading.model.symbols import Global, Instance, Symbol, Tensor
from lading.model.walk import Machine, Walked
from lading.model.zips import EntryStream, names_of, open_zip

LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The pickle of 0x1950a86a20f9469cfc6c, by which `torch.load` tells it."""
_TAR_BLOCK_BYTES = 512
_DICTS = {("collections", "OrderedDict"), ("builtins", "dict")}
_OF_STORAGES = {("torch._utils", f"_rebuild_tensor{end}") for end in ("", "_v2", "_v3")}
_NUMBERS = {
    "BFloat16": "bfloat16",
    "Bool": "bool",
    "Byte": "uint8",
    "Char": "int8",
    "ComplexDouble": "complex128",
    "ComplexFloat": "complex64",
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "Int": "int32",
    "Long": "int64",
    "Short": "int16",
}


class KnownTensor(Tensor):
    """A tensor whose type and shape are told."""

    __slots__ = ("dtype", "shape")

    def __init__(self, dtype: str, shape: tuple[int, ...]) -> None:
        """Keep both."""
        self.dtype = dtype
        self.shape = shape


@dataclass(slots=True)
class Weights:
    """Tensors: how many, and how many numbers of each type they hold."""

    count: int = 0
    numbers: Counter[str] = field(default_factory=Counter)

    def add(self, dtype: str, shape: tuple[int, ...]) -> None:
        """Count one tensor."""
        self.count += 1
        self.numbers[dtype] += math.prod(shape)

    def join(self, other: Weights) -> None:
        """Count those of another file, too."""
        self.count += other.count
        self.numbers.update(other.numbers)

    def __str__(self) -> str:
        """Print `4 tensors, 67 parameters, float32`."""
        kinds = ", ".join(name for name, _ in self.numbers.most_common())
        tensors = "1 tensor" if self.count == 1 else f"{self.count:,} tensors"
        return f"{tensors}, {self.numbers.total():,} parameters{f', {kinds}' if kinds else ''}"


@dataclass(frozen=True, slots=True)
class TorchFile:
    """What one file of `torch.save` holds."""

    walked: Walked
    weights: Weights

    @property
    def is_module(self) -> bool:
        """Tell whether it is an object of some class, and no dict, list or tensor."""
        top = self.walked.top
        return isinstance(top, Instance) and _name(top) not in _DICTS

    @property
    def inner(self) -> str | None:
        """Name a module that stands in a dict or a list, as Python would get it out; None where none does."""
        top = self.walked.top
        items = (
            top.items() if isinstance(top, dict) else enumerate(top if isinstance(top, list | tuple) else ())
        )
        is_module = (at for at, one in items if isinstance(one, Instance) and "_modules" in one.attributes)
        return next((f"[{at!r}]" for at in is_module if isinstance(at, str | int)), None)

    @property
    def class_name(self) -> str:
        """Name the object's class."""
        top = self.walked.top
        return top.factory.name if isinstance(top, Instance) else type(top).__name__


def is_one(file: ModelFile) -> bool:
    """Tell whether a file is one that `torch.save` has written, in either layout."""
    if is_legacy(file):
        return True
    names = names_of(file)
    prefix = next(iter(names), "").partition("/")[0]
    return f"{prefix}/data.pkl" in names and f"{prefix}/constants.pkl" not in names


def is_legacy(file: ModelFile) -> bool:
    """Tell whether a file is what `torch.save` wrote before 1.6, and writes when asked."""
    return start_of(file, len(LEGACY_MAGIC)) == LEGACY_MAGIC


def follow(file: ModelFile, first_party: FirstParty) -> TorchFile:
    """Walk a file of either layout; raise ModelError where it cannot be followed."""
    if is_legacy(file):
        return _legacy(file, first_party)
    with file.source.open("rb") as stream:
        return follow_zip(stream, file.path, first_party)


def follow_zip(stream: IO[bytes], name: str, first_party: FirstParty) -> TorchFile:
    """Walk the one pickle of a zip that `torch.save` wrote."""
    with open_zip(stream, name) as archive:
        entries = [one for one in archive.infolist() if one.filename.endswith("/data.pkl")]
        if len({one.filename.partition("/")[0] for one in archive.infolist()}) != 1 or len(entries) != 1:
            raise ModelError(Issue(name, "no file of torch.save: expected one 'data.pkl'", "save it again"))
        with archive.open(entries[0]) as inner:
            source = Source(EntryStream(inner), f"{name}:data.pkl", entries[0].file_size)
            machine = Torch(source, Walked(), first_party)
            found = machine.follow()
            if not source.at_end():
                raise source.refused("there are bytes behind the end of the pickle", "save the model again")
        return found


def _legacy(file: ModelFile, first_party: FirstParty) -> TorchFile:
    if _is_tar(file):
        what = "is a tar archive as well as pickles, and readers disagree about which it is"
        raise ModelError(Issue(file.path, what, "save the model again with torch.save"))
    with open_source(file.source, file.path) as (source, _):
        walked = Walked()
        for expected in ("magic number", "version", "sizes"):
            top = Machine(source, walked, first_party, joblib=False).run()
            if walked.names:
                raise source.refused(f"the {expected} is an object, and no number")
            del top
        source.frame_end = 0
        found = Torch(source, walked, first_party).follow()
        keys = Machine(source, Walked(), FirstParty(), joblib=False)
        if not isinstance(keys.run(), list) or keys.walked.names:
            raise source.refused("the keys of storages are no list of texts")
        return found


def _is_tar(file: ModelFile) -> bool:
    """Tell whether `torch.load` would take it for the tar of PyTorch 0.1, whose pickles are others."""
    try:
        tarfile.TarInfo.frombuf(start_of(file, _TAR_BLOCK_BYTES), tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


class Torch(Machine):
    """One pickle of `torch.save`."""

    def __init__(self, source: Source, walked: Walked, first_party: FirstParty) -> None:
        """Follow what the source holds next, as Python would, whatever loads it."""
        super().__init__(source, walked, first_party, joblib=False)
        self.weights = Weights()

    def follow(self) -> TorchFile:
        """Follow it to its end."""
        self.walked.top = self.run()
        self.walked.protocol = self.protocol
        return TorchFile(self.walked, self.weights)

    def op_binpersid(self, _: object) -> None:
        """Put what a persistent id stands for: a storage, or the class of a module with its source's text."""
        match self.pop():
            case ("storage", Global() as kind, str(), str(), int() as count, *_):
                self.stack.append(Instance(kind, (count,)))
            case ("module", Global() as cls, *_):
                self.stack.append(cls)
            case _:
                raise self.refused("a persistent id that torch.save does not write")

    def call(self, callee: Symbol, arguments: Symbol, *, constructs: bool = False) -> None:
        """Make tensors symbols of their own, and count those that storages are seen as."""
        super().call(callee, arguments, constructs=constructs)
        if not isinstance(callee, Global) or callee.kind != "call" or not isinstance(arguments, tuple):
            return
        if (callee.module, callee.name) in _OF_STORAGES and len(arguments) >= 3:
            made = KnownTensor(_dtype(arguments), _shape(arguments[2]))
            self.weights.add(made.dtype, made.shape)
            self.stack[-1] = made
        elif callee.module in {"torch._utils", "torch.serialization"}:
            self.stack[-1] = Tensor()


def _name(symbol: Instance) -> tuple[str, str]:
    return symbol.factory.module, symbol.factory.name


def _shape(size: Symbol) -> tuple[int, ...]:
    """Read a size; what is none has no numbers."""
    found = size.arguments[0] if isinstance(size, Instance) and size.arguments else size
    is_size = isinstance(found, tuple) and all(isinstance(one, int) and one >= 0 for one in found)
    return found if is_size else (0,)


def _dtype(arguments: tuple[Symbol, ...]) -> str:
    """Name the type: of the storage, or the one that stands beside a storage of bytes."""
    named = next((one for one in arguments[3:] if isinstance(one, Global)), None)
    if named is not None:
        return named.name
    storage = arguments[0]
    name = storage.factory.name if isinstance(storage, Instance) else ""
    return _NUMBERS.get(name.removesuffix("Storage"), name.removesuffix("Storage").lower() or "unknown")
