"""The bill of lading: what a package holds. Everything that shows, verifies or deploys one reads this alone.

A bill has no secrets, no paths of the machine it was made on, and no times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lading.core import canonical, typed
from lading.core.assets import Used
from lading.core.descriptor import BILL
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue
from lading.core.image import Kind
from lading.core.lock import Dropped
from lading.core.model import Risk
from lading.core.platform import Platform
from lading.core.signature import Signature
from lading.core.spec import Mode, ServerSettings
from lading.core.tracked import Record


@dataclass(frozen=True, slots=True)
class BilledFile:
    """A file of the model, the code or the assets; `path` is relative to their folder."""

    path: str
    size_bytes: int
    digest: Digest


def cache_key(files: Iterable[BilledFile]) -> str:
    """Return what files that are fetched together are cached by, as `lading_runtime.download` names it."""
    lines = sorted((one.path, one.size_bytes, str(one.digest)) for one in files)
    return Digest.of("".join(f"{digest} {size} {path}\n" for path, size, digest in lines).encode()).hex


@dataclass(frozen=True, slots=True)
class BilledRequirement:
    """What was asked for, and where it was learnt."""

    requirement: str
    origin: str
    mapped_from: str | None = None
    """The conda package that it stands for, such as `numpy=1.26`."""


@dataclass(frozen=True, slots=True)
class BilledPackage:
    """A Python or system package; the digest is of the file that it came in."""

    name: str
    version: str
    digest: Digest
    size_bytes: int


@dataclass(frozen=True, slots=True)
class BilledConda:
    """A conda package, with the Python distributions in it (`numpy==1.26.4`)."""

    name: str
    version: str
    build: str
    digest: Digest
    size_bytes: int
    distributions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BilledForm:
    """The form that answers in a model's place, in an image without the model and its libraries."""

    path: str
    kind: str
    """What it was made of, such as `forest`."""
    way: str
    """How it was made: `auto`, `onnx` or `treelite`; what is `onnx` is answered by a worker."""
    tolerance: float
    """How far a number may be off; 0 is bit-identical."""
    probes: int
    """Inputs on which it was held against the model."""
    files: tuple[BilledFile, ...]
    original: Digest
    """Of the manifest of the image that has the model and its libraries; it is attached to this one."""


@dataclass(frozen=True, slots=True)
class BilledModel:
    """The model: files with a format, and how they are loaded."""

    path: str
    format: str
    flavour: str
    loader: str
    loader_options: Mapping[str, Any]
    framework: str | None
    framework_version: str | None
    python: str | None
    files: tuple[BilledFile, ...]
    signature: Signature | None
    requirements: tuple[BilledRequirement, ...]
    risks: tuple[Risk, ...]
    notes: tuple[str, ...]
    modules: tuple[str, ...] = ()
    """What loading imports, as far as the files tell; byte code is shipped for it."""
    compiled: BilledForm | None = None
    """What answers in place of the files, which are in the original's image then."""
    saved_with: tuple[str, ...] = ()
    """What its files tell of what it was saved with: `python==3.9.18`, `scikit-learn==1.1.2`, `numpy<2`."""
    mode: Mode = "copy"
    """Whether the files are in the image, or fetched and verified at start."""
    sources: tuple[str, ...] = ()
    """Where they are fetched from, without a secret; see `core.spec.PackageSpec.model_sources`."""
    record: Record | None = None
    """How it was made, where a tracking server told that."""


@dataclass(frozen=True, slots=True)
class BilledSlim:
    """What of one kind was left out of a wheel, because nothing needs it that runs."""

    name: str
    kind: str
    """`tests`, `sources`, `static libraries` or `docs`."""
    files: int
    size_bytes: int
    packed_bytes: int
    """As they lie in the wheel: an image is smaller by about that."""


@dataclass(frozen=True, slots=True)
class BilledEnvironment:
    """The model's environment: a base, an interpreter and locked dependencies."""

    path: str
    base: str
    python: str
    interpreter: str
    packages: tuple[BilledPackage, ...]
    system_packages: tuple[BilledPackage, ...]
    variables: Mapping[str, str]
    conda_packages: tuple[BilledConda, ...] = ()
    base_digest: Digest | None = None
    """Of the image's manifest, where the base is one."""
    accelerator: str | None = None
    """What PyTorch's builds are for, such as `cu126`, where that was asked for."""
    system_packages_asked: tuple[str, ...] = ()
    """Their names; `system_packages` are those of lading's own base, or those that are added to an image."""
    slim: tuple[BilledSlim, ...] | None = field(default=None, metadata=typed.RARE)
    """What `--slim` left out of the wheels; None where they are whole."""
    dropped: tuple[Dropped, ...] = field(default=(), metadata=typed.RARE)
    """What was asked for, and left out because serving does not need it."""


@dataclass(frozen=True, slots=True)
class BilledServer:
    """What answers requests. `routes`: `liveness`, `readiness` and `scoring`."""

    name: str
    path: str
    port: int
    routes: Mapping[str, str]
    packages: tuple[BilledPackage, ...]
    python: str | None = None
    """The Python that carries the server, where it is another than the model's."""
    settings: ServerSettings = field(default_factory=ServerSettings)
    """What was asked of it."""


@dataclass(frozen=True, slots=True)
class BilledCode:
    """The inference routine."""

    path: str
    entry: str | None
    files: tuple[BilledFile, ...] = ()
    """None where the routine lies among the model's files."""


@dataclass(frozen=True, slots=True)
class BilledInput:
    """A further asset: files in a folder of their own."""

    path: str
    files: tuple[BilledFile, ...]
    mode: Mode = "copy"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BilledExample:
    """A recorded request, replayed by verification."""

    path: str
    digest: Digest
    rows: int
    tolerance: float
    has_outputs: bool


@dataclass(frozen=True, slots=True)
class BilledLayer:
    """A layer of the image; the bill's own is not among them."""

    kind: Kind
    title: str
    digest: Digest
    diff_id: Digest
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Bill:
    """What a package holds. Law: `Bill.parse(bill.encode()) == bill`."""

    lading: str
    """The version of lading that sealed it."""
    name: str
    version: str | None
    description: str | None
    tags: Mapping[str, str]
    platform: Platform
    model: BilledModel
    environment: BilledEnvironment
    server: BilledServer
    code: BilledCode | None
    examples: tuple[BilledExample, ...]
    lock: Digest
    """Of /opt/lading/lock.json, from which the environment can be made again."""
    layers: tuple[BilledLayer, ...]
    assets: tuple[BilledFile, ...] = ()
    """Below /opt/lading/assets."""
    inputs: tuple[BilledInput, ...] = ()
    used: tuple[Used, ...] = ()
    """The assets of a workspace that it was made from."""

    def to_json(self) -> dict[str, Any]:
        """Return the bill as JSON values, its schema among them."""
        return {"schema": BILL, **typed.to_json(self)}

    def encode(self) -> bytes:
        """Write the bill: equal bills, equal bytes."""
        return canonical.encode(self.to_json())

    @classmethod
    def parse(cls, data: bytes, where: str = "bill") -> Bill:
        """Read a bill; raise IntegrityError, with every issue, where it is not one.

        Keys that are not known are passed over: a later version of lading may add some.
        """
        document = canonical.decode(data, where)
        schema = document.get("schema") if isinstance(document, dict) else None
        if schema != BILL:
            fix = "a newer lading may read it" if schema else None
            raise IntegrityError(Issue(where, f"got schema {schema!r}, expected {BILL!r}", fix))
        return typed.from_json(cls, document, where)
