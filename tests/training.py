"""Environments in which heavy frameworks train: made by uv, for slow tests alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parent / "model" / "samples"


def environment(folder: Path, *requirements: str) -> Path:
    """Make an environment of this Python; a CPU build of torch may lie where pip is told to look."""
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    env = {**os.environ, "VIRTUAL_ENV": str(folder)}
    links = os.environ.get("PIP_FIND_LINKS")
    more = [f"--find-links={one}" for one in links.split()] if links else []
    subprocess.run([uv, "pip", "install", "--quiet", *more, *requirements], check=True, env=env)
    return folder


def trained(program: str, folder: Path, *requirements: str) -> tuple[Path, dict[str, Any]]:
    """Run a program that makes the samples in an environment of its own; return what models answer."""
    place = environment(folder / "env", *requirements)
    subprocess.run([place / "bin" / "python", SAMPLES / program, folder], check=True, capture_output=True)
    shutil.rmtree(place)
    return folder, json.loads((folder / "answers.json").read_text())
