"""`GET /openapi.json`, and `GET /docs`: a page where a person fills in a form and sees the prediction."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from typing import Any

from lading_runtime.front import example, openapi
from lading_runtime.front.json_schema import Json, of_column
from lading_runtime.front.messages import Request, Response, encode
from lading_runtime.front.model import Model
from lading_runtime.front.routes import Table

_PAGE = os.path.join(os.path.dirname(__file__), "docs.html")  # noqa: PTH118, PTH120 - see lading_runtime.bill
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


# what a proxy has cut off of a path, as Traefik and others tell it
_PREFIX = re.compile(r"(/[\w.~%-]+)+")


async def document(model: Model, request: Request) -> Response:
    """Answer `GET /openapi.json`; behind a proxy that says so, with where its routes begin."""
    prefix = request.headers.get(b"x-forwarded-prefix", b"").decode("latin-1").rstrip("/")
    return encode(openapi.document(model, prefix if _PREFIX.fullmatch(prefix) else ""))


async def page(model: Model, _: Request) -> Response:
    """Answer `GET /docs`: one file, nothing from elsewhere, with leave to ask this server and no more."""
    with open(_PAGE, encoding="utf-8") as stream:  # noqa: PTH123, ASYNC230 - a small file, read for a person
        text = stream.read()
    policy = "; ".join(
        (
            "default-src 'none'",
            "connect-src 'self'",
            "img-src blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            *(f"{kind}-src '{_digest(inside)}'" for kind, inside in _INLINE.findall(text)),
        )
    )
    # the text of JSON ends no element
    facts = json.dumps(form(model)).replace("<", "\\u003c")
    body = text.replace("{{model}}", facts).encode()
    headers = {"content-security-policy": policy, "x-content-type-options": "nosniff"}
    return Response(body, content_type=b"text/html; charset=utf-8", headers=headers)


def form(model: Model) -> dict[str, Any]:
    """Return what the page is made from: a field for each input that has a name, and a body."""
    body = example.body(model.bill, model.schema)
    typed = (model.backend.facts.get("schema") or {}).get("input") if model.takes_json else None
    if typed and typed.get("type") == "object":
        required = set(typed.get("required") or ())
        fields = [
            _field(name, one, one.get("default"), required=name in required)
            for name, one in (typed.get("properties") or {}).items()
        ]
        wrap = ""
    elif model.schema.columns and model.schema.named and not model.takes_json:
        values = example.record(example.recorded(model.bill), model.schema, optional=False)
        fields = [
            _field(one.name, of_column(one), values.get(one.name), required=one.required)
            for one in model.schema.columns
        ]
        wrap = "dataframe_records"
    else:
        fields, wrap = [], ""
    params = openapi.schemas(model)["Parameters"]["properties"]
    return {
        "name": model.bill.name,
        "version": model.bill.version,
        "fields": fields,
        "wrap": wrap,
        "params": [_field(name, one, one.get("default"), required=False) for name, one in params.items()],
        "text": json.dumps(body, indent=1, ensure_ascii=False),
        "definitions": (typed or {}).get("$defs") or {},
    }


def _field(name: str, schema: Json, value: object, *, required: bool) -> Json:
    """Describe a field; `text` is its value's JSON, of which a browser's numbers would lose digits."""
    text = None if value is None else json.dumps(value, indent=1, ensure_ascii=False)
    return {"name": name, "schema": schema, "required": required, "value": value, "text": text}


def _digest(text: str) -> str:
    """Name an inline script or style as a content security policy does (CSP level 3, 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


ROUTES: Table = {"/openapi.json": {"GET": document}, "/docs": {"GET": page}}
