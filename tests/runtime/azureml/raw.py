"""A scoring script as Azure ML's users write them; both servers run it."""

from azureml.contrib.services.aml_request import rawhttp
from azureml.contrib.services.aml_response import AMLResponse


def init():
    pass


@rawhttp
def run(request):  # noqa: C901, PLR0911
    if request.path == "/score" and request.args.get("do") == "files":
        one = request.files["picture"]
        return {
            "name": one.filename,
            "type": one.content_type,
            "size": len(one.read()),
            "form": request.form.to_dict(),
            "tags": request.form.getlist("tag"),
            "data": len(request.data),
        }
    if request.args.get("do") == "json":
        return {"json": request.get_json(), "is": request.is_json, "again": request.json}
    if request.args.get("do") == "silent":
        return [request.get_json(silent=True), request.get_json(force=True)]
    if request.args.get("do") == "bytes":
        data = request.get_data()
        return AMLResponse(data[::-1], 200, {"Content-Type": "image/png", "X-Size": str(len(data))})
    if request.args.get("do") == "teapot":
        return AMLResponse({"a": 1}, 418)
    if request.args.get("do") == "none":
        return AMLResponse(None, 200)
    if request.args.get("do") == "broken":
        return AMLResponse("out of order", 503, {"X-Why": "one, two"})
    if request.args.get("do") == "value":
        return [1, {"é": None}]
    if request.args.get("do") == "raise":
        return request.args["not there"]
    if request.method == "OPTIONS":
        return AMLResponse("may be asked", 200, {"X-Method": request.method})
    return {
        "method": request.method,
        "path": request.path,
        "full": request.full_path,
        "query": request.query_string.decode(),
        "args": request.args.getlist("a"),
        "number": request.args.get("n", 7, type=int),
        "default": request.args.get("missing", "none"),
        "header": request.headers["x-of-mine"],
        "lower": request.headers.get("X-OF-MINE"),
        "type": request.content_type,
        "mime": request.mimetype,
        "length": request.content_length,
        "text": request.get_data(as_text=True),
        "data": request.data.decode(),
        "values": request.values.to_dict(),
        "cookies": dict(request.cookies),
        "json": request.is_json,
        "base": request.base_url,
        "url": request.url,
        "host": request.host,
        "scheme": request.scheme,
        "agent": str(request.user_agent),
        "named": dict(request.headers)["X-Of-Mine"],
    }
