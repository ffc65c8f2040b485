"""One MLflow model, packed once for each server that a test asks for, and served; images of servers."""

import gzip
import io
import json
import shutil
import tarfile
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from baking import DEBIAN
from engines import free_port
from lading import servers, settings
from lading.core import canonical
from lading.core.bill import Bill
from lading.core.descriptor import CONFIG, LAYER_GZIP, Descriptor
from lading.core.digest import Digest
from lading.core.reference import Reference
from lading.pipeline import shelf
from lading.pipeline.context import Context
from lading.store import LayoutStore, documents
from models import write_mlflow
from running import wait_for


class Served(NamedTuple):
    """A package that is served, and its bill."""

    port: int
    bill: Bill

    def __call__(self, path, body=None, kind="application/json"):
        """Ask, by POST where there is a body; return status and body."""
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", sent, {"content-type": kind})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def predictions(self, inputs):
        """Ask as verification replays a recorded example."""
        server = servers.find(self.bill.server.name)
        asked = server.ask(inputs, self.bill)
        status, body = self(asked.path, asked.body, asked.content_type)
        assert status == 200, body
        return server.outputs(body, self.bill)


@pytest.fixture(scope="session")
def flow(shared, once):
    return Path(once("flow", lambda: str(write_mlflow(shared / "flow"))))


@pytest.fixture(scope="session")
def packed(lading, once, tmp_path_factory):
    """Pack a spec once for all processes of a run; return what packing told."""

    def pack(name, spec, *options):
        def make():
            folder = tmp_path_factory.mktemp("specs")
            (folder / "lading.yaml").write_text(json.dumps({"name": name, **spec}))
            return lading.json("pack", folder, "-t", f"{name}:1", *options)

        return once(f"packed-{name}", make)

    return pack


@pytest.fixture(scope="session")
def serve(lading):
    """Serve a package until a test is over."""

    @contextmanager
    def serving(reference):
        port = free_port()
        bill = Bill.parse(json.dumps(lading.json("show", reference)["bill"]).encode())
        process = lading.start("serve", reference, "--port", port)
        try:
            wait_for(f"http://127.0.0.1:{port}{bill.server.routes['readiness']}", process)
            yield Served(port, bill)
        finally:
            process.terminate()
            process.communicate()

    return serving


@pytest.fixture(scope="session")
def image(debian_image, tmp_path_factory):
    """Lay files upon the image of Debian's Python; return what a spec names as its base."""
    layout = shutil.copytree(debian_image, tmp_path_factory.mktemp("images") / "layout")
    store = LayoutStore(layout)

    def blob(media_type, data):
        return Descriptor(media_type, documents.write(store, data), len(data)).to_json()

    def make(name, files, **run):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for path, data in files.items():
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = len(data), 0o755
                archive.addfile(entry, io.BytesIO(data))
        below = dict(store.tags())[Reference.parse(DEBIAN)]
        manifest = json.loads(documents.read(store, below))
        config = json.loads(documents.read(store, Descriptor.from_json(manifest["config"])))
        config["config"] = {"Env": config["config"]["Env"], **run}
        config["rootfs"]["diff_ids"].append(str(Digest.of(stream.getvalue())))
        manifest["layers"].append(blob(LAYER_GZIP, gzip.compress(stream.getvalue(), 1, mtime=0)))
        manifest["config"] = blob(CONFIG, canonical.encode(config))
        made = Descriptor.from_json(blob(below.media_type, canonical.encode(manifest)))
        store.tag(Reference.parse(f"{name}:1"), made)
        return f"oci:{layout}:{name}:1"

    return make


@pytest.fixture(scope="session")
def started(lading):
    """Return how an image starts: its entry point, its command and its variables."""

    def read(reference):
        context = Context(settings.load({}, home=lading.home))
        config = json.loads(shelf.find(context, reference).image.config)["config"]
        return config["Entrypoint"], config["Cmd"], dict(one.split("=", 1) for one in config["Env"])

    return read
