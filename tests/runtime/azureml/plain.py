"""A scoring script as Azure ML's users write them; both servers run it."""

import json
import time

from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    global begun  # noqa: PLW0603 - as such scripts do
    begun = "yes"


class Odd:
    pass


def run(raw_data, request_headers):  # noqa: C901, PLR0911
    if raw_data == "text, not JSON":
        return raw_data
    asked = json.loads(raw_data)
    what = asked.get("do") if isinstance(asked, dict) else None
    if what == "begun":
        return begun
    if what == "nothing":
        return None
    if what == "raise":
        raise RuntimeError("a reason of its own")
    if what == "sleep":
        time.sleep(30)
    if what == "odd":
        return Odd()
    if what == "exit":
        raise SystemExit(5)
    if what == "headers":
        return [request_headers["X-Of-Mine"], sorted(request_headers).index("Host") >= 0]
    if what == "respond":
        return AMLResponse(
            asked["body"], asked["status"], asked.get("headers", {}), json_str=asked.get("json", False)
        )
    if what == "text":
        return "é"
    return {"seen": raw_data, "numbers": [1, 2.5], "none": None}
