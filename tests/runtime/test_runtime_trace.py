"""What requests are called, and the traces that a collector is sent."""

import base64
import gzip
import http.server
import json
import string
import threading
import time
from types import SimpleNamespace

import pytest
from google.protobuf.json_format import MessageToDict, Parse
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from lading_runtime.front import otlp, trace, tracer

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
FILES = {"score.py": "def init(): pass\ndef run(raw):\n    print('about', raw)\n    return 1 / len(raw)\n"}
JSON = {"content-type": "application/json"}


class Collector(http.server.ThreadingHTTPServer):
    """Takes OTLP over HTTP, as OpenTelemetry's own collector does."""

    def __init__(self):
        self.requests = []
        self.statuses = []
        super().__init__(("127.0.0.1", 0), Receiver)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def spans(self):
        return [
            (resource.resource, span)
            for _, request in list(self.requests)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait(self, count):
        deadline = time.monotonic() + 20
        while len(self.spans()) < count:
            assert time.monotonic() < deadline, self.spans()
            time.sleep(0.01)
        return self.spans()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest()
        if self.headers["content-type"] == "application/json":
            read_json(body, request)
        else:
            assert self.headers["content-type"] == "application/x-protobuf"
            request.ParseFromString(body)
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status == 200:
            self.server.requests.append(
                ((self.path, {key.lower(): one for key, one in self.headers.items()}), request)
            )
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


def read_json(body, request):
    """Read OTLP's JSON, in which ids are hexadecimal where protobuf's own has base64."""
    document = json.loads(body)
    for resource in document["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    Parse(json.dumps(document), request)


@pytest.fixture
def collector():
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def attributes(entry):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in entry.attributes}


@pytest.fixture(scope="module")
def named(serve):
    with serve(entry="score.py", files=FILES, environ={"LADING_LOG_FORMAT": "json"}) as served:
        yield served


def ask(served, headers, body=b'"four"', path="/invocations"):
    return served.ask("POST", path, body, {**JSON, **headers})


def test_a_request_keeps_the_name_that_its_client_gave_it(named):
    _, _, headers = ask(named, {"x-request-id": "order-66"})
    assert headers["x-request-id"] == "order-66"
    assert "traceparent" not in headers


def test_a_request_without_a_name_gets_one_of_its_own(named):
    names = {ask(named, {})[2]["x-request-id"] for _ in range(3)}
    assert len(names) == 3
    assert all(names)


def test_a_trace_is_a_name_too_and_comes_back(named):
    _, _, headers = ask(named, {"traceparent": PARENT, "tracestate": "a=b"})
    assert headers["x-request-id"] == TRACE
    assert headers["traceparent"] == PARENT


@pytest.mark.parametrize("name", ["x" * 101, "a b", "", "ü"])
def test_a_name_that_is_none_is_ignored(named, name):
    _, _, headers = ask(named, {"x-request-id": name.encode("latin-1")})
    assert headers["x-request-id"] != name


def test_azure_refuses_a_long_name(named):
    assert ask(named, {"x-request-id": "x" * 100}, path="/score")[0] == 200
    assert ask(named, {"x-request-id": "x" * 101}, path="/score")[0] == 431


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/score", 405)])
def test_what_is_refused_has_a_name_as_well(named, method, path, status):
    found, _, headers = named.ask(method, path, headers={"x-request-id": "lost-1"})
    assert (found, headers["x-request-id"]) == (status, "lost-1")


def test_a_refusal_in_the_log_names_its_request(named):
    assert ask(named, {"x-request-id": "none-1", "traceparent": PARENT}, b'""')[0] == 500
    named.await_log("ZeroDivisionError")
    lines = [json.loads(one) for one in named.log.splitlines()]
    (found,) = [one for one in lines if "ZeroDivisionError" in one["message"]]
    assert found["request_id"] == "none-1"


@pytest.mark.parametrize(
    "text",
    [
        PARENT.upper(),
        PARENT[:-1],
        PARENT + "-",
        PARENT + "-00",
        "ff" + PARENT[2:],
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        PARENT.replace("-", "_"),
        " " + PARENT,
        PARENT + "\n",
        "01" + PARENT[2:] + "x",
    ],
)
def test_a_traceparent_that_is_not_by_the_standard_is_none(text):
    assert trace.parse(text.encode()) is None


def test_a_later_version_of_traceparent_is_read_as_far_as_it_is_known():
    parent = trace.parse(b"cc-" + PARENT[3:].encode() + b"-what-the-future-has")
    assert (parent.trace_id, parent.span_id, parent.flags) == (TRACE, SPAN, 1)


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        ("a=1,b=2", "a=1,b=2"),
        ("a=1 , ,b=2", "a=1,b=2"),
        ("tenant@sys=x", "tenant@sys=x"),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a=", ""),
        ("a=b=c", ""),
        (",".join(f"k{number}=v" for number in range(33)), ""),
        ("nonsense", ""),
    ],
)
def test_a_tracestate_is_kept_whole_or_not_at_all(state, kept):
    assert trace.parse_state(state.encode()) == kept


hexadecimal = st.text("0123456789abcdef", min_size=32, max_size=32).filter(lambda one: one.strip("0"))


@given(hexadecimal, st.integers(0, 255))
def test_a_traceparent_is_read_back(trace_id, flags):
    parent = trace.parse(trace.traceparent(trace_id, SPAN, flags).encode())
    assert (parent.trace_id, parent.span_id, parent.flags) == (trace_id, SPAN, flags & 1)


@given(st.binary(max_size=80))
def test_no_bytes_break_the_reading_of_headers(data):
    headers = {b"x-request-id": data, b"traceparent": data, b"tracestate": data}
    assert set(trace.see(headers, "/").request_id) <= {*string.printable} - {*string.whitespace}


SCALARS = st.one_of(
    st.text(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(), SCALARS, max_size=4), st.text(), st.text())
def test_protobuf_and_json_say_the_same_to_opentelemetrys_own_reader(facts, name, error):
    origin = otlp.Origin({"service.name": "iris", **facts}, "lading", "1")
    span = otlp.Span(TRACE, SPAN, SPAN, "a=b", name, otlp.SERVER, 5, 2**60, facts, error)
    spans = [span, span._replace(parent_id="", error="", kind=otlp.INTERNAL)]
    by_protobuf = ExportTraceServiceRequest.FromString(otlp.to_protobuf(origin, spans))
    by_json = ExportTraceServiceRequest()
    read_json(otlp.to_json(origin, spans), by_json)
    assert MessageToDict(by_protobuf) == MessageToDict(by_json)
    (resource,) = by_protobuf.resource_spans
    first = resource.scope_spans[0].spans[0]
    assert attributes(first) == facts
    assert (first.trace_id.hex(), first.parent_span_id.hex(), first.name) == (TRACE, SPAN, name)
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (5, 2**60)
    assert (first.status.message, first.status.code) == ((error, 2) if error else ("", 0))


@pytest.mark.parametrize("protocol", ["", "http/json"])
def test_a_request_is_a_span_within_its_clients_trace(serve, collector, protocol):
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url + "/",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20secret,x-tenant=7",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip" if protocol else "",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test,service.name=other",
        "OTEL_SERVICE_NAME": "flowers",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    with serve(entry="score.py", files=FILES, environ=environ, version="7") as served:
        _, _, headers = ask(served, {"traceparent": PARENT, "tracestate": "a=b", "user-agent": "mine"})
        ask(served, {}, b'""')
        collector.wait(5)
        served.stop()
    spans = collector.spans()
    (path, sent), _ = collector.requests[0]
    assert path == "/v1/traces"
    assert (sent["authorization"], sent["x-tenant"]) == ("Bearer secret", "7")
    resource = attributes(spans[0][0])
    assert resource["service.name"] == "flowers"
    assert resource["service.version"] == "7"
    assert resource["deployment.environment"] == "test"
    mine = [span for _, span in spans if span.trace_id.hex() == TRACE]
    request = next(span for span in mine if span.kind == otlp.SERVER)
    assert headers["traceparent"] == f"00-{TRACE}-{request.span_id.hex()}-01"
    assert (request.name, request.parent_span_id.hex()) == ("POST /invocations", SPAN)
    assert request.trace_state == "a=b"
    facts = attributes(request)
    assert facts["http.response.status_code"] == 200
    assert facts["http.request.method"] == "POST"
    assert facts["http.route"] == "/invocations"
    assert facts["user_agent.original"] == "mine"
    assert abs(request.start_time_unix_nano / 1e9 - time.time()) < 60
    children = {span.name: span for span in mine if span is not request}
    assert "predict iris" in children
    for child in children.values():
        assert child.parent_span_id == request.span_id
        assert request.start_time_unix_nano <= child.start_time_unix_nano
        assert child.start_time_unix_nano <= child.end_time_unix_nano <= request.end_time_unix_nano
    failed = next(span for _, span in spans if span.kind == otlp.SERVER and span.trace_id.hex() != TRACE)
    assert (failed.status.code, attributes(failed)["error.type"]) == (2, "500")
    assert not failed.parent_span_id


def test_what_waits_is_sent_at_the_end_and_health_is_no_trace(serve, collector):
    environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.url + "/mine"}
    with serve(entry="score.py", files=FILES, environ=environ) as served:
        ask(served, {})
        served.get("/metrics")
        ask(served, {"traceparent": PARENT[:-2] + "00"})
        assert served.stop() == 0
    assert {path for (path, _), _ in collector.requests} == {"/mine"}
    servers = [span for _, span in collector.spans() if span.kind == otlp.SERVER]
    assert [one.name for one in servers] == ["POST /invocations"], "a client decides of its own trace"


def test_a_collector_that_is_busy_is_asked_again_and_one_that_is_gone_costs_spans_alone(serve, collector):
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "20"}
    collector.statuses += [503]
    with serve(entry="score.py", files=FILES, environ=environ) as served:
        ask(served, {})
        collector.wait(2)
        collector.statuses += [400]
        ask(served, {})
        served.await_log("traces are dropped: the collector at 127.0.0.1: it answered 400")
        assert ask(served, {})[0] == 200
        assert served.metric('lading_spans_total{outcome="dropped"}') > 0
        assert served.metric('lading_spans_total{outcome="sent"}') > 0


@pytest.mark.parametrize(
    ("environ", "is_on"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "a"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_SDK_DISABLED": "True"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_traces_are_on_where_an_endpoint_is_named(environ, is_on):
    assert tracer.is_configured(environ) == is_on


@pytest.mark.parametrize(
    ("name", "argument", "root", "kept", "dropped"),
    [
        ("", "", True, True, False),
        ("always_on", "", True, True, True),
        ("always_off", "", False, False, False),
        ("parentbased_always_off", "", False, True, False),
        ("traceidratio", "0", False, False, False),
        ("parentbased_traceidratio", "0", False, True, False),
        ("parentbased_traceidratio", "1", True, True, False),
        ("nonsense", "", True, True, False),
    ],
)
def test_samplers_are_the_specifications(name, argument, root, kept, dropped):
    chosen = tracer.sampler({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})
    parents = (None, SimpleNamespace(flags=1), SimpleNamespace(flags=0))
    found = [chosen(SimpleNamespace(trace_id="f" * 32, parent=parent)) for parent in parents]
    assert found == [root, kept, dropped]


def test_a_ratio_keeps_its_part():
    chosen = tracer.sampler({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"})
    kept = sum(chosen(SimpleNamespace(trace_id=trace.new_trace_id(), parent=None)) for _ in range(4000))
    assert 800 < kept < 1200
