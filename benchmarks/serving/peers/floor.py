"""The floor: a bare ASGI handler around the model, no validation, no metrics; under uvicorn."""

import json

import msgspec
import numpy as np

from model import load

predict = load()
HEAD = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}


async def app(scope, receive, send):  # noqa: ANN001, ANN201
    """Answer whatever is asked with predictions."""
    if scope["type"] != "http":
        return
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = b"".join(parts)
    answer = b"{}"
    if body:
        rows = msgspec.json.decode(body)["instances"]
        answer = json.dumps({"predictions": predict(np.array(rows)).tolist()}).encode()
    length = (b"content-length", str(len(answer)).encode())
    await send({**HEAD, "headers": [*HEAD["headers"], length]})
    await send({"type": "http.response.body", "body": answer})
