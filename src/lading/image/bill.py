"""What was asked, found, locked and sealed → the bill that lists it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from lading.core.bill import (
    Bill,
    BilledCode,
    BilledConda,
    BilledEnvironment,
    BilledFile,
    BilledForm,
    BilledInput,
    BilledLayer,
    BilledModel,
    BilledPackage,
    BilledRequirement,
    BilledServer,
    BilledSlim,
)
from lading.core.digest import Digest
from lading.core.image import Layer
from lading.core.lock import Interpreter, LockedConda, LockedDeb, LockedWheel, PlatformLock
from lading.core.model import ModelFacts, Requirement
from lading.core.server import NATIVE, ServerNeeds
from lading.core.spec import Example, PackageSpec
from lading.image import examples as recorded

ENVIRONMENT_PATH = "/opt/lading/env"
SERVER_PATH = "/opt/lading/server"
MODEL_PATH = "/opt/lading/model"
CODE_PATH = "/opt/lading/code"
BILL_PATH = "/opt/lading/bill.json"
LOCK_PATH = "/opt/lading/lock.json"

_USER_INFO = re.compile(r"(?<=://)[^/\s@]*@")
_QUERY = re.compile(r"(?<=://)([^\s?#;]*)\?[^\s#;]*")
_LOCAL_FOLDER = re.compile(r"(?<=file:)\S*/|(?:(?<=[\s'])|^)/\S*/")


def draw(
    *,
    lading: str,
    name: str,
    spec: PackageSpec,
    facts: ModelFacts,
    model_files: Mapping[str, Digest],
    requirements: Sequence[Requirement],
    lock_digest: Digest,
    lock: PlatformLock,
    server: ServerNeeds,
    code: BilledCode | None,
    examples: Sequence[Example],
    layers: Sequence[Layer],
    assets: Sequence[BilledFile] = (),
    inputs: Sequence[BilledInput] = (),
    slim: Sequence[BilledSlim] | None = None,
) -> Bill:
    """Draw the bill of one platform's image.

    `model_files` has the digest of each file of `facts.files` by its path; `layers` are all but the bill's
    own; `slim` is what was left out of the wheels. Credentials, and folders of the machine that packs, are
    cut out of requirements.
    """
    return Bill(
        lading=lading,
        name=name,
        version=spec.version,
        description=spec.description,
        tags=dict(spec.tags),
        platform=lock.platform,
        model=_model(spec, facts, model_files, requirements, server.model_path or MODEL_PATH),
        environment=_environment(spec, lock, server, slim),
        server=BilledServer(
            name=server.name,
            path=server_path(server),
            port=server.port,
            routes=dict(server.routes),
            packages=_packages(lock.server),
            python=lock.second.version if lock.second else None,
            settings=spec.server_settings,
        ),
        code=code,
        examples=tuple(recorded.bill(number, one) for number, one in enumerate(examples)),
        lock=lock_digest,
        layers=tuple(map(_layer, layers)),
        assets=tuple(assets),
        inputs=tuple(inputs),
        used=spec.used,
    )


def _environment(
    spec: PackageSpec, lock: PlatformLock, server: ServerNeeds, slim: Sequence[BilledSlim] | None
) -> BilledEnvironment:
    return BilledEnvironment(
        path=ENVIRONMENT_PATH,
        base=lock.base.reference,
        python=lock.interpreter.version,
        interpreter=lock.interpreter.path,
        packages=_packages(lock.model),
        system_packages=_packages(lock.base.packages),
        variables={**_conda_variables(lock), **server.variables, **spec.environment_variables},
        conda_packages=tuple(map(_conda, lock.conda)),
        base_digest=lock.base.image.digest if lock.base.image else None,
        accelerator=spec.accelerator,
        system_packages_asked=spec.system_packages,
        slim=None if slim is None else tuple(slim),
        dropped=lock.dropped,
    )


def server_path(server: ServerNeeds) -> str:
    """Return the environment that a server runs in: its own, or the model's."""
    return SERVER_PATH if server.name == NATIVE else ENVIRONMENT_PATH


def compiled(
    bill: Bill,
    form: BilledForm,
    layers: Sequence[Layer],
    interpreter: Interpreter,
    packages: Collection[str] = (),
) -> Bill:
    """Draw the bill of the image in which a form answers, from that of its original.

    There is neither the model nor its environment, but for the base; `interpreter` is the server's, and the
    only one there. Of a form that `packages` answer, these are in the model's environment.
    """
    changed = replace(bill, model=replace(bill.model, compiled=form), layers=tuple(map(_layer, layers)))
    if packages:
        kept = tuple(one for one in bill.environment.packages if one.name in packages)
        return replace(changed, environment=_only(bill.environment, kept))
    environment = replace(
        _only(bill.environment, ()),
        path=bill.server.path,
        python=interpreter.version,
        interpreter=interpreter.path,
    )
    return replace(changed, environment=environment, server=replace(bill.server, python=None))


def _only(environment: BilledEnvironment, packages: tuple[BilledPackage, ...]) -> BilledEnvironment:
    """Keep some of an environment's packages."""
    names = {one.name for one in packages}
    slim = tuple(one for one in environment.slim or () if one.name in names)
    return replace(
        environment, packages=packages, slim=slim if packages and environment.slim is not None else None
    )


def without_secrets(requirement: str) -> str:
    """Cut credentials, queries (which may carry tokens) and local folders out of a requirement's URL.

    >>> without_secrets("iris @ https://me:token@example.org/iris-1.whl?sig=abc")
    'iris @ https://example.org/iris-1.whl'
    >>> without_secrets("iris @ file:///home/me/iris-1.whl")
    'iris @ file:iris-1.whl'
    """
    return _LOCAL_FOLDER.sub("", _QUERY.sub(r"\1", _USER_INFO.sub("", requirement)))


def _packages(locked: Iterable[LockedWheel | LockedDeb]) -> tuple[BilledPackage, ...]:
    found = (BilledPackage(one.name, one.version, one.digest, one.size_bytes) for one in locked)
    return tuple(sorted(found, key=lambda one: (one.name, one.version)))


def _conda(one: LockedConda) -> BilledConda:
    return BilledConda(one.name, one.version, one.build, one.digest, one.size_bytes, one.distributions)


def _conda_variables(lock: PlatformLock) -> dict[str, str]:
    """Say where conda's packages lie, as activating their environment would."""
    return {"CONDA_PREFIX": str(PurePosixPath(lock.interpreter.path).parents[1])} if lock.conda else {}


def _model(
    spec: PackageSpec,
    facts: ModelFacts,
    digests: Mapping[str, Digest],
    requirements: Iterable[Requirement],
    path: str,
) -> BilledModel:
    files = (BilledFile(one.path, one.size_bytes, digests[one.path]) for one in facts.files)
    asked = (
        BilledRequirement(without_secrets(one.text), one.origin, one.mapped_from) for one in requirements
    )
    return BilledModel(
        path=path,
        format=facts.format,
        flavour=facts.flavour,
        loader=facts.loader,
        loader_options=dict(facts.loader_options),
        framework=facts.framework,
        framework_version=facts.framework_version,
        python=facts.python,
        files=tuple(sorted(files, key=lambda one: one.path)),
        signature=facts.signature,
        requirements=tuple(asked),
        risks=facts.risks,
        notes=tuple(map(without_secrets, facts.notes)),
        modules=facts.modules,
        saved_with=facts.saved_with,
        mode=spec.mode,
        sources=spec.model_sources if spec.mode == "download" else (),
        record=spec.record,
    )


def _layer(layer: Layer) -> BilledLayer:
    blob = layer.descriptor
    return BilledLayer(layer.kind, layer.title, blob.digest, layer.diff_id, blob.size_bytes)
