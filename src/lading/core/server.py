"""What an inference server needs of a package, and how it is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lading.core.bill import Bill
from lading.core.model import ModelFacts
from lading.core.spec import PackageSpec

NATIVE = "lading"
"""The server that has an environment of its own, so that it cannot clash with the model's."""


@dataclass(frozen=True, slots=True)
class ServerNeeds:
    """What one package has to hold for an inference server: requirements, how it starts, where it answers."""

    name: str
    requirements: tuple[str, ...]
    """PEP 508, the server itself first; only the native one's are resolved apart from the model's."""
    entrypoint: tuple[str, ...]
    """Exec form, absolute paths in the image; none is the base's own."""
    command: tuple[str, ...] = ()
    port: int = 8080
    more_ports: tuple[int, ...] = ()
    """Where it answers besides, in other protocols."""
    routes: Mapping[str, str] = field(default_factory=dict)
    """`liveness`, `readiness`, `scoring`: the paths that a platform is told."""
    modules: tuple[str, ...] = ()
    """What starting it imports, so that byte code can be shipped for it."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of the image; the author's own win over them."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """What is made for it, by absolute path in the image: a scoring script, a configuration."""
    model_path: str | None = None
    """Where it looks for the model's files; None is lading's own folder, which else links there."""
    code_path: str | None = None
    """Where it looks for the inference routine; None is lading's own folder, which else links there."""
    working_directory: str | None = None
    system_packages: tuple[str, ...] = ()
    """Of Debian, such as a Java."""


@dataclass(frozen=True, slots=True)
class Listening:
    """What makes a server listen at a given address: further arguments, and variables."""

    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """An HTTP request by POST."""

    path: str
    body: bytes
    content_type: str = "application/json"


def ask_as_recorded(inputs: Any, bill: Bill) -> Ask:  # noqa: ANN401 - any JSON value
    """Send a recorded example as it stands to the scoring route."""
    return Ask(bill.server.routes["scoring"], json.dumps(inputs).encode())


def read_json(body: bytes, _: Bill) -> Any:  # noqa: ANN401 - any JSON value
    """Read an answer that is the predictions; ValueError where it is no JSON."""
    return json.loads(body)


@dataclass(frozen=True, slots=True)
class Server:
    """An inference server. Law: `needs(...).name == name`."""

    name: str
    needs: Callable[[PackageSpec, ModelFacts], ServerNeeds]
    """Raises SpecError, with every issue, for what this server cannot serve."""
    listen: Callable[[str, int], Listening]
    """Host and port → what makes it listen there and nowhere else."""
    ask: Callable[[Any, Bill], Ask] = ask_as_recorded
    """A recorded example's inputs (as `/invocations` takes them) → how this server is asked the same."""
    outputs: Callable[[bytes, Bill], Any] = read_json
    """The body of a good answer → the predictions; ValueError where it holds none."""
    is_ready: Callable[[bytes], bool] = lambda _: True
    """Whether the body of a readiness route that answers 200 says so, too."""
    give_up: Callable[[float], Mapping[str, str]] = lambda _: {}
    """Seconds → variables that have it give up a request that takes longer, so that it is free for others."""
    is_told_port: bool = True
    """Whether `listen` has it listen on another port than its own."""
    is_asked_examples: bool = True
    """Whether the examples that a model brings are asked of it; else only those that the author gives."""
    takes: Literal["models", "files", "either"] = "models"
    """What is inspected as one of Python's, or files that the server alone knows the meaning of; or the first
    where it is one."""
