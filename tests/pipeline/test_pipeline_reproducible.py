"""One digest, whoever packs it, where, when and with which Python."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import joblib
import pytest
import zlib_ng

from lading.core.lock import PlatformLock
from lading.core.platform import Platform
from lading.core.ports import ignore
from lading.core.spec import Indexes
from lading.layers import Cargo, assemble
from lading.pipeline.context import Context
from lading.sandbox.tree import MountPoints, merge
from lading.sandbox.unpack import unpack
from lading.settings import Settings
from models import IRIS, train

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
NOBODY = 65534
SHARED_MEMORY = Path("/dev/shm")  # another kind of file system, which lists files in another order
BASE = "debian:trixie" if sys.version_info[:2] != (3, 13) else "debian:bookworm"

FILES = {
    "code/score.py": (
        "import pathlib, joblib, yaml\nimport helper\nfrom ménu import entrée\n"
        "def init():\n    global model\n"
        "    model = joblib.load(pathlib.Path('/opt/lading/model/model.joblib'))\n"
        "def run(data):\n    return helper.plain(model.predict(data))\n"
    ),
    "code/helper.py": "def plain(found):\n    return found.tolist()\n",
    "code/ménu/__init__.py": "",
    "code/ménu/entrée.py": "import tomllib\n",
    "code/tool.sh": "#!/bin/sh\n",
    "words/Z.txt": "z\n",
    "words/a.txt": "a\n",
    "words/ä.txt": "ä\n",
    "model/about/é.md": "# é\n",
}
SPEC = {
    "name": "one-digest",
    "description": "Which iris is it? «setosa»",
    "tags": {"b": "1", "a": "2", "é": "3"},
    "model": "model",
    "code": "code",
    "entry": "score.py:run",
    "assets": ["words"],
    "environment_variables": {"OMP_NUM_THREADS": "1", "A": "b"},
    "example": {"inputs": IRIS.data.head(3).to_numpy().tolist(), "outputs": [0, 0, 0]},
}


@pytest.fixture(scope="module")
def folder():
    """A folder that every user may pass through, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="lading-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def other_python(folder, lading, wheel):
    """Another Python from another Debian, by its own loader, with lading's wheel and nothing else of ours."""
    context = Context(Settings(lading.home))
    platform = Platform.current()
    found = context.base(BASE, platform)
    interpreter = found.interpreters[0]
    made = assemble(
        Cargo(PlatformLock(platform, found.base, interpreter, (), ()), "none"),
        fetch=context.fetch(Indexes()),
        fetch_deb=context.deb,
        store=context.store,
        cache=context.layers,
        digests=context.digests,
    )
    for opened in (context.fetch_debian, context.fetch(Indexes())):
        opened.close()
    layers = unpack(made.layers, context.store, folder / "layers", ignore)
    root = merge(layers[::-1], MountPoints(), folder / "layers")
    loader = next(root.glob("usr/lib/*/ld-linux-*.so.*"))
    python = root / "usr/bin/python-here"
    argv = [loader, "--argv0", python, "--library-path", loader.parent, f"{root}{interpreter.path}"]
    python.write_text(f'#!/bin/sh\nexec {" ".join(map(str, argv))} "$@"\n')
    python.chmod(0o755)
    install(wheel, python, folder / "site")
    return [python, "-m", "lading"], {"PYTHONPATH": str(folder / "site")}, interpreter.minor


@pytest.fixture(scope="module")
def wheel(folder):
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", folder / "wheel", ROOT], check=True)
    return next((folder / "wheel").glob("*.whl"))


def install(wheel, python, target):
    """Install lading for a Python, with the compressor that is used here: another may write other bytes."""
    command = [UV, "pip", "install", "--quiet", "--python", python, "--target", target, wheel]
    subprocess.run([*command, f"zlib-ng=={zlib_ng.__version__}"], check=True)


def write(folder, *, backwards=False):
    """Write the same files, in one order or the other."""
    texts = {**FILES, "lading.yaml": json.dumps(SPEC)}
    for path, text in sorted(texts.items(), reverse=backwards):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    (folder / "code/tool.sh").chmod(0o700 if backwards else 0o775)
    return folder


@pytest.fixture(scope="module")
def here(lading, folder):
    """The package as this process's user packs it; its lock lies beside it from now on."""
    source = write(folder / "here")
    joblib.dump(train(), source / "model" / "model.joblib")
    return source, lading.json("pack", source, "-t", "here:1", "--no-verify")["digest"]


def moved(here, target, *, backwards):
    """Write everything once more elsewhere, the lock with it."""
    write(target, backwards=backwards)
    for path in (*here.glob("*lock*"), here / "model" / "model.joblib"):
        shutil.copyfile(path, target / path.relative_to(here))
    return target


def with_downloads(lading, home):
    """Give a home what the lock pins, and nothing else."""
    bill = lading.json("show", "here:1")["bill"]
    environment = bill["environment"]
    packages = [*environment["packages"], *environment["system_packages"], *bill["server"]["packages"]]
    (kept := home / "cache" / "downloads" / "sha256").mkdir(parents=True)
    for one in packages:
        digest = one["digest"].removeprefix("sha256:")
        shutil.copyfile(lading.home / "cache" / "downloads" / "sha256" / digest, kept / digest)
    return home


def packed(command, source, home, *, env, user=None):
    """Pack without network and without resolving; return the digest."""
    done = subprocess.run(
        [
            *map(str, command),
            "pack",
            str(source),
            "-t",
            "one:1",
            "--no-verify",
            "--locked",
            "--offline",
            "--json",
        ],
        env={"PATH": os.environ["PATH"], "LADING_HOME": str(home), "HOME": "/nonexistent", **env},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
        **({} if user is None else {"user": user, "group": user, "extra_groups": []}),
        umask=0o077,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["digest"]


def test_another_user_python_folder_and_locale_give_the_same_digest(lading, here, other_python, folder):
    source, digest = here
    command, env, minor = other_python
    assert minor != f"{sys.version_info.major}.{sys.version_info.minor}"
    place = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else folder
    with tempfile.TemporaryDirectory(prefix="lading-", dir=place) as name:
        there = moved(source, Path(name), backwards=True)
        home = with_downloads(lading, folder / "home")
        user = None
        if os.geteuid() == 0:
            user = NOBODY
            for path in (there, *there.rglob("*"), home, *home.rglob("*")):
                os.chown(path, user, user)
        variables = {
            "TZ": "Pacific/Kiritimati",
            "LC_ALL": "C",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONHASHSEED": "77",
        }
        assert packed(command, there, home, env={**env, **variables}, user=user) == digest


def test_another_hash_seed_and_time_zone_give_the_same_digest(lading, here, tmp_path):
    source, digest = here
    there = moved(source, tmp_path / "there", backwards=False)
    home = with_downloads(lading, tmp_path / "home")
    env = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "PYTHONHASHSEED": "4242", "TZ": "America/St_Johns"}
    command = [sys.executable, "-m", "lading"]
    assert packed(command, there, home, env=env) == digest


def python_of(minor):
    """Find a Python of a version that happens to be on this machine, None where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [shutil.which(f"python{minor}"), *sorted(pyenv.glob(f"{minor}.*/bin/python"))]
    for one in filter(None, candidates):
        done = subprocess.run([one, "-c", "import ensurepip"], capture_output=True, check=False)
        if done.returncode == 0:
            return one
    return None


@pytest.mark.slow
@pytest.mark.parametrize("minor", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_every_python_that_is_here_gives_the_same_digest(lading, here, wheel, tmp_path, minor):
    python = python_of(minor)
    if python is None or minor == f"{sys.version_info.major}.{sys.version_info.minor}":
        pytest.skip(f"no other Python {minor} is here")
    source, digest = here
    install(wheel, python, tmp_path / "site")
    home = with_downloads(lading, tmp_path / "home")
    there = moved(source, tmp_path / "there", backwards=True)
    env = {"PYTHONPATH": str(tmp_path / "site")}
    assert packed([python, "-m", "lading"], there, home, env=env) == digest
