from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keeping import Keeper, Kept, keep
from lading.core.digest import Digest
from lading.core.ports import Event
from lading.core.tracked import ModelURI
from lading.tracking import Brought, Tracking


class Asking:
    """Brings models into a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ: dict[str, str] = {"HOME": str(folder)}
        self.events: list[Event] = []
        self.offline = False

    def __call__(self, text: str) -> Brought:
        tracking = Tracking(
            self.folder / "models", self.environ, self._digest, self.events.append, offline=self.offline
        )
        return tracking.bring(ModelURI.parse(text))

    def said(self) -> str:
        return "\n".join(one.text for one in self.events)

    @staticmethod
    def _digest(path: Path) -> Digest:
        with path.open("rb") as stream:
            return Digest.of_stream(stream)


@pytest.fixture
def asking(tmp_path, monkeypatch) -> Asking:
    """A user who has nothing yet."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return Asking(tmp_path)


@pytest.fixture
def serve(tmp_path, asking) -> Iterator[Callable[..., Keeper]]:
    """A server of MLflow 3, or 2, whose artifacts are said to be at a place."""
    open_ = []

    def start(major: int = 3, top: str = "mlflow-artifacts:") -> Keeper:
        server = keep(Kept(major, top, tmp_path / f"kept{len(open_)}"))
        open_.append(server)
        keeper = server.__enter__()
        asking.environ["MLFLOW_TRACKING_URI"] = keeper.url
        return keeper

    yield start
    for one in open_:
        one.__exit__(None, None, None)
