"""MLflow's `POST /invocations`: its four JSON forms and CSV in, `{"predictions": …}` out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from typing import Any

from lading_runtime.front import encode
from lading_runtime.front.decode import check_json, is_json, media_type, parse_csv, parse_json
from lading_runtime.front.encode import Input
from lading_runtime.front.messages import Refusal, Request, Response
from lading_runtime.front.model import Model
from lading_runtime.front.render import predictions
from lading_runtime.front.routes import Table
from lading_runtime.front.schema import Schema, check_params

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


async def invocations(model: Model, request: Request) -> Response:
    """Answer one request."""
    kind, parameters = media_type(request.headers)
    if is_json(kind):
        wanted = (
            encode.body(check_json(request.body))
            if model.takes_json
            else _of_json(model.schema, request.body)
        )
    elif kind == "text/csv" and not model.takes_json:
        names, rows = parse_csv(request.body, model.schema, parameters.get("header"))
        wanted = encode.rows(model.schema, names, rows)
    else:
        expected = "'application/json'" if model.takes_json else "'application/json' or 'text/csv'"
        raise Refusal(415, f"got content-type {kind!r}, expected {expected}")
    return Response(predictions(await model.predict(wanted)))


def _of_json(schema: Schema, body: bytes) -> Input:
    document = parse_json(body)
    if not isinstance(document, dict):
        raise Refusal(
            400, f"got a JSON {type(document).__name__}, expected an object with one of {list(FORMS)}"
        )
    given = [form for form in FORMS if form in document]
    if len(given) != 1:
        raise Refusal(400, f"got the keys {sorted(document)[:10]}, expected exactly one of {list(FORMS)}")
    wanted = parse_form(schema, given[0], document[given[0]])
    if schema.params:
        return wanted._replace(params=check_params(schema, document.get("params")))
    return wanted


def parse_form(schema: Schema, form: str, data: Any) -> Input:
    """Read the value of one of the FORMS (mlflow, pyfunc/scoring_server/__init__.py)."""
    if form == "dataframe_split":
        return _split(schema, data)
    if isinstance(data, dict) and form == "inputs":
        return encode.mapping(schema, data)
    if not isinstance(data, list):
        raise Refusal(400, f"{form}: got {type(data).__name__}, expected a list")
    if form == "dataframe_records" or (data and isinstance(data[0], dict)):
        return encode.records(schema, data)
    return encode.array(schema, data)


def _split(schema: Schema, data: Any) -> Input:
    if not isinstance(data, dict) or not isinstance(data.get("data"), list):
        raise Refusal(400, "dataframe_split: expected an object with 'columns' and 'data'")
    names = data.get("columns")
    if names is not None:
        if not isinstance(names, list) or set(map(type, names)) - {str, int, float, bool}:
            raise Refusal(400, "dataframe_split: columns: expected a list of names")
        names = list(map(str, names))
        if len(set(names)) != len(names):
            raise Refusal(400, f"dataframe_split: columns: got a name twice: {names}")
    return encode.rows(schema, names, data["data"])


ROUTES: Table = {"/invocations": {"POST": invocations}}
