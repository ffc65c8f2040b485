"""What MLflow keeps, written by hand as its versions 2.22 and 3.17 write it, and a server that hands it out.

The layouts, the tables and the answers are those of stores and servers that `log_models.py` filled; a slow
test asks the real ones the same (`test_tracking_mlflow.py`).
"""

from __future__ import annotations

import json
import re
import sqlite3
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

MODELS = [f"m-{number}{'0a' * 15}{number}" for number in (1, 2, 3)]
RUNS = [f"{number}{'0b' * 15}{number}" for number in (1, 2, 3)]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MLMODEL = "flavors: {{}}\nmodel_size_bytes: 20\nmodel_uuid: {}\n"
PARAMS = {"C": "1.0", "db_password": "hunter2", "path": "/home/me/data"}
METRICS = {"accuracy": 0.5, "nan": float("nan")}


def files_of(number: int) -> dict[str, bytes]:
    """Give the files of a model, each another's."""
    mlmodel = MLMODEL.format(MODELS[number - 1]).encode()
    return {"MLmodel": mlmodel, "model.pkl": b"model %d" % number, "sub/deep.txt": b"deep", "sub/empty": b""}


@dataclass(frozen=True)
class Kept:
    """Where the artifacts of MLflow 2 or 3 are: by the URI of their top, and the folder that it means."""

    major: int
    top: str
    folder: Path

    def run(self, number: int) -> str:
        return f"0/{RUNS[number - 1]}/artifacts"

    def model(self, number: int) -> str:
        if self.major == 2:
            return f"{self.run(number)}/classifier"
        return f"0/models/{MODELS[number - 1]}/artifacts"

    def location(self, path: str) -> str:
        return f"{self.top}/{path}"

    def source(self, number: int) -> str:
        return self.location(self.model(number)) if self.major == 2 else f"models:/{MODELS[number - 1]}"

    def write(self) -> None:
        """Write the artifacts."""
        for number in (1, 2, 3):
            for path, data in files_of(number).items():
                write(self.folder / self.model(number) / path, data)
            write(self.folder / self.run(number) / "notes/about this.txt", b"beside")


def write(path: Path, data: bytes | str | dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(data) if isinstance(data, dict) else data
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def stage(number: int) -> str:
    return "Production" if number == 1 else "None"


def write_folder(folder: Path, kept: Kept) -> str:
    """Write a file store; return its URI."""
    kept.write()
    write(folder / "0/meta.yaml", {"experiment_id": "0", "name": "Default"})
    for number, run, model in zip((1, 2, 3), RUNS, MODELS, strict=True):
        places = [folder / "0" / run]
        location = kept.location(kept.run(number))
        write(places[0] / "meta.yaml", {"run_id": run, "artifact_uri": location, "experiment_id": "0"})
        if kept.major == 3:
            places.append(folder / "0/models" / model)
            meta = {"artifact_location": kept.location(kept.model(number)), "name": "classifier", "status": 2}
            meta |= {"model_id": model, "source_run_id": run, "creation_timestamp": number}
            write(places[1] / "meta.yaml", meta)
        for place in places:
            write(place / "tags/mlflow.source.git.commit", COMMIT)
            for name, value in METRICS.items():
                write(place / "metrics" / name, f"1 0.25 0\n2 {value} 1\n")
            for name, text in PARAMS.items():
                write(place / "params" / name, text)
        version = {"name": "iris", "version": number, "run_id": run, "source": kept.source(number)}
        version |= {"status": "READY", "current_stage": stage(number)}
        version |= {"storage_location": kept.location(kept.model(number))}
        version |= {"model_id": model} if kept.major == 3 else {}
        write(folder / f"models/iris/version-{number}/meta.yaml", version)
    write(folder / "models/iris/meta.yaml", {"name": "iris"})
    write(folder / "models/iris/aliases/champion", "2")
    return folder.as_uri()


def write_sqlite(path: Path, kept: Kept) -> str:
    """Write the tables that are asked; return their URI."""
    kept.write()
    late = kept.major == 3
    workspace = ", workspace TEXT DEFAULT 'default'" if late else ""
    with closing(sqlite3.connect(path)) as base, base:
        base.executescript(f"""
            CREATE TABLE registered_models (name TEXT{workspace});
            CREATE TABLE registered_model_aliases (alias TEXT, version INTEGER, name TEXT{workspace});
            CREATE TABLE model_versions (name TEXT, version INTEGER, current_stage TEXT, source TEXT,
                run_id TEXT, status TEXT, storage_location TEXT{workspace});
            CREATE TABLE runs (run_uuid TEXT, artifact_uri TEXT, experiment_id INTEGER);
            CREATE TABLE latest_metrics (key TEXT, value REAL, is_nan INTEGER, run_uuid TEXT);
            CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
            CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
            INSERT INTO registered_models (name) VALUES ('iris');
            INSERT INTO registered_model_aliases (alias, version, name) VALUES ('champion', 2, 'iris');
        """)
        if late:
            base.executescript("""
                CREATE TABLE logged_models (model_id TEXT, name TEXT, artifact_location TEXT,
                    creation_timestamp_ms INTEGER, status INTEGER, source_run_id TEXT);
                CREATE TABLE logged_model_tags (model_id TEXT, tag_key TEXT, tag_value TEXT);
                CREATE TABLE logged_model_params (model_id TEXT, param_key TEXT, param_value TEXT);
                CREATE TABLE logged_model_metrics (model_id TEXT, metric_name TEXT, metric_value REAL);
            """)
        for number, run, model in zip((1, 2, 3), RUNS, MODELS, strict=True):
            columns = "name, version, current_stage, source, run_id, status, storage_location"
            place = kept.location(kept.model(number))
            row = ("iris", number, stage(number), kept.source(number), run, "READY", place)
            base.execute(f"INSERT INTO model_versions ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            base.execute("INSERT INTO runs VALUES (?, ?, 0)", (run, kept.location(kept.run(number))))
            base.execute("INSERT INTO tags VALUES ('mlflow.source.git.commit', ?, ?)", (COMMIT, run))
            base.execute("INSERT INTO latest_metrics VALUES ('accuracy', 0.5, 0, ?)", (run,))
            base.execute("INSERT INTO latest_metrics VALUES ('nan', 0, 1, ?)", (run,))
            base.executemany("INSERT INTO params VALUES (?, ?, ?)", [(*one, run) for one in PARAMS.items()])
            if late:
                values = (model, "classifier", kept.location(kept.model(number)), number, 2, run)
                base.execute("INSERT INTO logged_models VALUES (?, ?, ?, ?, ?, ?)", values)
    return f"sqlite:///{path}"


@dataclass
class Keeper:
    """A tracking server, and what a test has it do wrong."""

    kept: Kept
    port: int = 0
    scheme: str = "http"
    login: str = ""
    """What `Authorization` has to be."""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    listings: dict[str, Any] = field(default_factory=dict)
    """What is said instead of a folder's own listing, by its path."""
    cut_after: int = 0
    """Where bodies of artifacts end, while there are `cuts` left."""
    cuts: int = 0
    tags: bool = True
    """Whether parts may be asked for, as from MLflow 3 on."""
    headers: dict[str, str] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    """What is sent instead of a file, by its path."""
    answers: dict[str, Any] = field(default_factory=dict)
    """What is answered instead, by the path of the API."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def artifacts(self, path: str) -> list[str]:
        """Tell how often a path was asked for, and which part."""
        return [headers.get("range", "") for url, headers in self.asked if path in unquote(url)]

    def answer(self, path: str, query: dict[str, str]) -> Any:  # noqa: PLR0911 - one for each question
        """Answer a question of the API; None is RESOURCE_DOES_NOT_EXIST."""
        if path in self.answers:
            return self.answers[path]
        number = {"iris": 1}.get(query.get("name", ""), 0) and int(query.get("version", "1"))
        match path.split("/"):
            case ["model-versions", "get"]:
                return {"model_version": self.version(number)} if 1 <= number <= 3 else None
            case ["model-versions", "get-download-uri"]:
                return {"artifact_uri": self.kept.location(self.kept.model(number))}
            case ["registered-models", "get"]:
                found = {"latest_versions": [self.version(1), self.version(3)], "name": "iris"}
                found["aliases"] = [{"alias": "champion", "version": "2"}]
                return {"registered_model": found} if number else None
            case ["registered-models", "search"]:
                return {"registered_models": [{"name": "iris"}]}
            case ["runs", "get"] if query.get("run_id") in RUNS:
                number = RUNS.index(query["run_id"]) + 1
                info = {"artifact_uri": self.kept.location(self.kept.run(number)), "experiment_id": "0"}
                return {"run": {"info": info, "data": made()}}
            case ["logged-models", "search"] if self.kept.major == 3:
                return {"models": [self.logged(number) for number in (3, 2, 1)]}
            case ["logged-models", model] if model in MODELS and self.kept.major == 3:
                return {"model": self.logged(MODELS.index(model) + 1)}
        return None

    def version(self, number: int) -> dict[str, Any]:
        found = {"name": "iris", "version": str(number), "run_id": RUNS[number - 1], "status": "READY"}
        return found | {"current_stage": stage(number), "source": self.kept.source(number)}

    def logged(self, number: int) -> dict[str, Any]:
        place = self.kept.location(self.kept.model(number))
        info = {"model_id": MODELS[number - 1], "name": "classifier", "artifact_uri": place}
        info |= {"source_run_id": RUNS[number - 1], "status": "LOGGED_MODEL_READY"}
        return {"info": info, "data": {}}

    def place(self, path: str, query: dict[str, str]) -> tuple[str, bool] | None:
        """Tell which artifact a path of the server means, and whether it is to be listed."""
        proxy = "/api/2.0/mlflow-artifacts/artifacts"
        if path == proxy:
            return query.get("path", ""), True
        if path.startswith(f"{proxy}/"):
            return path.removeprefix(f"{proxy}/"), False
        if path in {"/api/2.0/mlflow/artifacts/list", "/get-artifact"}:
            number = RUNS.index(query.get("run_id") or query["run_uuid"]) + 1
            inner = query.get("path", "")
            return f"{self.kept.run(number)}/{inner}".rstrip("/"), path.endswith("list")
        if match := re.fullmatch(r"/(?:ajax-)?api/2.0/mlflow/logged-models/([^/]+)/artifacts/\w+", path):
            top = self.kept.model(MODELS.index(match[1]) + 1)
            inner = query.get("artifact_directory_path") or query.get("artifact_file_path", "")
            return f"{top}/{inner}".rstrip("/"), path.endswith("directories")
        return None


def made() -> dict[str, Any]:
    pairs = [{"key": name, "value": value} for name, value in PARAMS.items()]
    metrics = [{"key": name, "value": value} for name, value in METRICS.items()]
    tags = [{"key": "mlflow.source.git.commit", "value": COMMIT}]
    return {"params": pairs, "metrics": metrics, "tags": tags}


def _handler(keeper: Keeper) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - what can go wrong
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer()

        def _answer(self) -> None:
            keeper.asked.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
            parts = urlsplit(self.path)
            path, query = unquote(parts.path), {key: one for key, (one,) in parse_qs(parts.query).items()}
            if keeper.login and self.headers.get("Authorization") != keeper.login:
                self._json(401, {"error_code": "UNAUTHENTICATED", "message": "who are you?"})
            elif place := keeper.place(path, query):
                self._list(place[0]) if place[1] else self._file(place[0])
            else:
                found = keeper.answer(path.removeprefix("/api/2.0/mlflow/"), query)
                missing = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "there is none"}
                self._json(404, missing) if found is None else self._json(200, found)

        def _list(self, path: str) -> None:
            folder = keeper.kept.folder / path
            if path in keeper.listings:
                return self._json(200, keeper.listings[path])
            rows = [
                {
                    "path": one.name,
                    "is_dir": one.is_dir(),
                    **({} if one.is_dir() else {"file_size": one.stat().st_size}),
                }
                for one in sorted(folder.iterdir() if folder.is_dir() else ())
            ]
            return self._json(200, {"files": rows} if rows else {})

        def _file(self, path: str) -> None:
            file = keeper.kept.folder / path
            if path not in keeper.bodies and not file.is_file():
                return self._json(
                    404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such artifact"}
                )
            data = keeper.bodies[path] if path in keeper.bodies else file.read_bytes()
            tag = f'"{hash(data):x}"'
            part = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if keeper.tags else None
            start = int(part[1]) if part and self.headers.get("If-Range") == tag else 0
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            if keeper.tags:
                self.send_header("ETag", tag)
            for name, value in keeper.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            if keeper.cuts and len(data) - start > keeper.cut_after:
                keeper.cuts -= 1
                data = data[: start + keeper.cut_after]
                self.close_connection = True
            with suppress(ConnectionError):
                self.wfile.write(data[start:])
            return None

        def _json(self, status: int, document: Any) -> None:
            data = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(data)

    return Handler


@contextmanager
def keep(kept: Kept, tls: ssl.SSLContext | None = None) -> Iterator[Keeper]:
    """Have a server of what is kept."""
    kept.write()
    keeper = Keeper(kept, scheme="https" if tls else "http")
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(keeper)) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # who distrusts it hangs up
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.daemon_threads = True
        keeper.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield keeper
        server.shutdown()
        thread.join()
