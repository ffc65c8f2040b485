"""The peer of `pack.py`: `docker build` of the Dockerfile that MLflow writes, by a Docker Engine of its own.

Needs root, dockerd, docker and mmdebstrap. No image registry is needed: a minimal Debian with Python stands
in for `python:…-slim`, and the engine runs without a bridge, so that it works inside a container too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import Run, run

BASE = "lading-benchmark-python:slim"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@contextmanager
def engine(folder: Path) -> Iterator[list[str]]:
    """Start a Docker Engine with its data under `folder`; yield the client command that reaches it."""
    socket = f"unix://{folder}/docker.sock"
    command = ["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none"]
    command += ["--data-root", f"{folder}/docker", "--exec-root", f"{folder}/exec"]
    command += ["--pidfile", f"{folder}/docker.pid", "-H", socket]
    with (folder / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        client = ["docker", "-H", socket]
        for _ in range(100):
            if subprocess.run([*client, "info"], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
        yield client
    finally:
        process.terminate()
        process.wait()


def make_base(client: list[str], folder: Path) -> None:
    """Import the stand-in for python:slim: Debian, Python, pip, and this machine's certificates."""
    archive = folder / "base.tar"
    if not archive.exists():
        include = "--include=python3,python3-pip,python3-venv,ca-certificates"
        hooks = [
            "--customize-hook=ln -s python3 $1/usr/bin/python",
            f"--customize-hook=copy-in {CERTIFICATES} /etc/ssl/certs",
        ]
        run(["mmdebstrap", "--variant=minbase", include, *hooks, "bookworm", archive])
    variables = ["PIP_BREAK_SYSTEM_PACKAGES=1", f"PIP_CERT={CERTIFICATES}"]
    changes = [part for variable in variables for part in ("--change", f"ENV {variable}")]
    subprocess.run([*client, "import", *changes, str(archive), BASE], check=True, stdout=subprocess.DEVNULL)


def write_context(mlflow: Path, model: Path, folder: Path) -> None:
    """Let MLflow write its Dockerfile for a model, and put the stand-in in place of its base."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [mlflow, "models", "generate-dockerfile", "-m", model, "-d", folder]
    run(command, log=folder.with_suffix(".log"))
    dockerfile = folder / "Dockerfile"
    text = re.sub(r"^FROM .*$", f"FROM {BASE}", dockerfile.read_text(), flags=re.MULTILINE)
    dockerfile.write_text(text)


def build(client: list[str], context: Path, *, cached: bool) -> Run:
    """Build the image with the engine's builder of old, which needs no plug-in."""
    command = [*client, "build", "--network=host", "-t", "peer", *([] if cached else ["--no-cache"]), context]
    env = {"DOCKER_BUILDKIT": "0", "PATH": os.environ["PATH"]}
    return run(command, env=env, log=context.with_suffix(".build.log"))


def compressed_bytes(client: list[str]) -> int:
    """Return what a registry would store of the image: each of its layers gzipped."""
    command = f"{' '.join(client)} save peer | gzip -6 | wc -c"
    return int(subprocess.run(["bash", "-c", command], check=True, capture_output=True).stdout)
