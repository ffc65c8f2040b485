"""One small bill and its layers, shared by the tests of this room."""

from __future__ import annotations

from pathlib import Path

import pytest

from lading.core.bill import Bill, BilledCode
from lading.core.descriptor import LAYER_GZIP, Descriptor
from lading.core.digest import Digest
from lading.core.image import Kind, Layer
from lading.core.lock import Interpreter, LockedBase, LockedDeb, LockedWheel, PlatformLock
from lading.core.model import ModelFacts, ModelFile, Requirement, Risk
from lading.core.platform import Libc, Platform
from lading.core.server import ServerNeeds
from lading.core.signature import Field, Signature
from lading.core.spec import Example, PackageSpec
from lading.image import draw

NATIVE = ServerNeeds(
    name="lading",
    requirements=("uvicorn",),
    entrypoint=("/opt/lading/server/bin/python", "-I", "-m", "lading_runtime"),
    command=("serve",),
    port=8080,
    routes={"liveness": "/v2/health/live", "readiness": "/v2/health/ready", "scoring": "/invocations"},
)


def digest(text: str) -> Digest:
    return Digest.of(text.encode())


def layer(kind: Kind, title: str) -> Layer:
    return Layer(Descriptor(LAYER_GZIP, digest(f"{title}.tar.gz"), 1000), digest(f"{title}.tar"), kind, title)


def wheel(name: str, version: str) -> LockedWheel:
    filename = f"{name}-{version}-py3-none-any.whl"
    return LockedWheel(name, version, filename, f"https://example.org/{filename}", digest(filename), 2000)


@pytest.fixture
def server() -> ServerNeeds:
    return NATIVE


@pytest.fixture
def layers() -> tuple[Layer, ...]:
    return (layer("base", "python3.11 3.11.2-6"), layer("environment", "numpy 2.4.6"), layer("model", "iris"))


@pytest.fixture
def bill(layers: tuple[Layer, ...]) -> Bill:
    """What a whole run would draw: every part of a bill is there."""
    return draw(
        lading="0.1.0",
        name="iris",
        spec=PackageSpec(
            path=Path("/home/me/project/lading.yaml"),
            version="1",
            description="Which iris is it? «setosa»",
            tags={"team": "botany"},
            model=Path("/home/me/project/model"),
            environment_variables={"OMP_NUM_THREADS": "1"},
        ),
        facts=ModelFacts(
            root=Path("/home/me/project/model"),
            format="sklearn",
            flavour="sklearn RandomForestClassifier",
            loader="pickle",
            loader_options={"file": "model.joblib"},
            framework="scikit-learn",
            framework_version="1.9.1",
            files=(
                ModelFile("model.joblib", Path("/home/me/project/model/model.joblib"), 90_000),
                ModelFile("about.txt", Path("/home/me/project/model/about.txt"), 12),
            ),
            signature=Signature(
                (Field("double", "petal"),), (Field("tensor", None, dtype="int64", shape=(-1,)),)
            ),
            risks=(Risk("model.joblib:42", "builtins.getattr", "can reach any attribute"),),
            notes=("pickle protocol 5",),
        ),
        model_files={"model.joblib": digest("model"), "about.txt": digest("about")},
        requirements=(
            Requirement("scikit-learn==1.9.1", "pickle"),
            Requirement("mine @ https://me:secret@example.org/mine-1.whl?sig=secret", "spec"),
            Requirement("local @ file:///home/me/project/local-1.whl", "spec"),
        ),
        lock_digest=digest("lock"),
        lock=PlatformLock(
            platform=Platform("linux", "amd64"),
            base=LockedBase(
                "debian:bookworm",
                "bookworm",
                (LockedDeb("libc6", "2.36-9", "amd64", "pool/main/g/glibc.deb", digest("libc6"), 3000),),
                Libc("glibc", 2, 36),
            ),
            interpreter=Interpreter("/usr/bin/python3.11", "3.11.2"),
            model=(wheel("scikit_learn", "1.9.1"), wheel("numpy", "2.4.6")),
            server=(wheel("uvicorn", "0.38.0"),),
        ),
        server=NATIVE,
        code=BilledCode("/opt/lading/code", "score.py:run"),
        examples=(Example({"dataframe_split": {"columns": ["petal"], "data": [[1.5], [2]]}}, [0, 1]),),
        layers=layers,
    )
