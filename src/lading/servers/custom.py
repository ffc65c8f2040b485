"""A server of one's own: an image or a command that answers HTTP, told by its routes.

The model lies where Azure ML mounts it for such an image (AZUREML_MODEL_DIR); nothing is installed but what
the author asks for, and the image's own entry point runs where no command is given.
"""

from __future__ import annotations

from collections.abc import Iterator

from lading.core.errors import Issue, SpecError
from lading.core.model import ModelFacts
from lading.core.server import Listening, Server, ServerNeeds
from lading.core.spec import PackageSpec, ServerSettings
from lading.servers.azureml_layout import model_places

NAME = "custom"


def needs(spec: PackageSpec, facts: ModelFacts) -> ServerNeeds:
    """Return what the author says of it; SpecError, with every issue, where that is not enough."""
    settings = spec.server_settings
    if issues := list(_issues(spec, settings)):
        raise SpecError(*issues)
    assert settings.scoring
    ready = settings.readiness or settings.liveness
    live = settings.liveness or settings.readiness
    assert ready
    assert live
    folder, path = model_places(spec)
    code = f"/var/azureml-app/{facts.code.name}" if facts.code and facts.code.is_dir() else None
    variables = {"AZUREML_MODEL_DIR": folder} | ({"AML_APP_ROOT": code} if code else {})
    return ServerNeeds(
        name=NAME,
        requirements=(),
        entrypoint=settings.command,
        port=settings.scoring.port,
        routes={"liveness": live.path, "readiness": ready.path, "scoring": settings.scoring.path},
        variables=variables,
        model_path=path,
        code_path=code,
        working_directory=code,
    )


def _issues(spec: PackageSpec, settings: ServerSettings) -> Iterator[Issue]:
    if settings.scoring is None:
        yield Issue("server.scoring_route", "is missing", "say where it answers: {port: 8080, path: /score}")
    if not (settings.readiness or settings.liveness):
        fix = "say where it tells that it is ready: {port: 8080, path: /ready}"
        yield Issue("server.readiness_route", "is missing", fix)
    for key in ("liveness", "readiness"):
        route = getattr(settings, key)
        if route and settings.scoring and route.port != settings.scoring.port:
            what = f"got port {route.port}, expected that of the scoring route, {settings.scoring.port}"
            yield Issue(f"server.{key}_route", what)
    if not settings.command and (spec.base is None or spec.base.form == "debian"):
        fix = "set 'command', or name an image that has its own with 'base'"
        yield Issue("server.command", "is missing, and no image brings one", fix)


def listen(_: str, __: int) -> Listening:
    """Nobody knows how it is told: it listens where it does."""
    return Listening()


SERVER = Server(NAME, needs, listen, takes="files", is_told_port=False, is_asked_examples=False)
