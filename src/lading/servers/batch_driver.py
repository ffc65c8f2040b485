"""The driver of a batch scoring script: mini batches come in by HTTP, what `run` returned for them goes out.

It travels in packages and runs in the model's environment: standard library alone, Python 3.7 and later;
lading itself never imports it. `init()` is called once, `run(mini_batch)` with a list of paths for each
request ("Author scoring scripts for batch deployments"), both in the main thread.

GET / answers once `init` is done. POST /score takes `{"mini_batch": [path, ...]}`, or files that are written
to /tmp first, `{"files": {name: text}}`. It answers `{"rows": [...], "columns": [...] or null, "count": n}`,
a row being a list of cells, or a text that is a line by itself; or 500 and `{"message": traceback}`.
"""

import argparse
import importlib.util
import json
import logging
import math
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

INIT_FAILED = 3
"""What Azure ML's servers end with."""
_WORK = queue.Queue()


def main():
    """Load the script, then run mini batches until the end is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("script")
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 - of a container
    parser.add_argument("--port", type=int, default=5001)
    asked = parser.parse_args()
    # process 1 of a container ignores what it has no handler for
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    try:
        module = load(asked.script)
        module.init()
    except BaseException:
        traceback.print_exc()
        return INIT_FAILED
    server = ThreadingHTTPServer((asked.host, asked.port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        document, answer = _WORK.get()
        answer.put(scored(module, document))


def load(path):
    """Import a script with its folder, and the folder of all code, on the path."""
    for folder in (os.environ.get("AML_APP_ROOT"), os.path.dirname(path)):
        if folder and folder not in sys.path:
            sys.path.insert(0, folder)
    os.chdir(os.path.dirname(path))
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    for function in ("init", "run"):
        if not callable(getattr(module, function, None)):
            raise TypeError("%s has no function %s()" % (path, function))
    return module


def scored(module, document):
    """Return status and answer for one request."""
    folder = None
    try:
        paths = document.get("mini_batch")
        if paths is None:
            folder = tempfile.mkdtemp()
            paths = [written(folder, name, text) for name, text in document["files"].items()]
        return 200, json.dumps(described(module.run(list(paths)))).encode()
    except Exception:
        traceback.print_exc()
        return 500, json.dumps({"message": traceback.format_exc()}).encode()
    finally:
        sys.stdout.flush()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def written(folder, name, text):
    """Write a file of a request."""
    path = os.path.join(folder, os.path.basename(name))
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def described(result):
    """Turn what `run` returned into rows of JSON values."""
    columns = None
    if hasattr(result, "itertuples") and hasattr(result, "columns"):
        columns = [str(one) for one in result.columns]
        rows = [list(one) for one in result.itertuples(index=False, name=None)]
    elif result is None or isinstance(result, (str, bytes)) or not hasattr(result, "__iter__"):
        raise TypeError("run() returned %s, expected a list or a pandas DataFrame" % type(result).__name__)
    else:
        rows = [row(one) for one in result]
    return {"rows": [plain(one) for one in rows], "columns": columns, "count": len(rows)}


def row(value):
    """Return the cells of one element, or its line."""
    value = plain(value)
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, (list, str)) else [value]


def plain(value):
    """Return JSON values."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and math.isnan(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


class Handler(BaseHTTPRequestHandler):
    """Hands requests to the main thread."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Tell that `init` is done."""
        self.answer(200 if self.path == "/" else 404, b"Healthy", "text/plain")

    def do_POST(self):
        """Score."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            document = json.loads(body)
            known = isinstance(document, dict) and {"mini_batch", "files"} & set(document)
        except ValueError:
            known = False
        if self.path != "/score" or not known:
            message = {"message": "expected POST /score with 'mini_batch' or 'files'"}
            self.answer(404 if self.path != "/score" else 400, json.dumps(message).encode())
            return
        answer = queue.Queue()
        _WORK.put((document, answer))
        self.answer(*answer.get())

    def answer(self, status, body, kind="application/json"):
        """Send a whole answer."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Leave the log to the script."""


if __name__ == "__main__":
    sys.exit(main())
