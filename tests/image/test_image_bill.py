"""The bill: what it lists, what it must not, and how it is read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.bill import Bill, BilledFile, BilledForm, BilledSlim
from lading.core.errors import IntegrityError
from lading.core.image import Layer
from lading.core.lock import Interpreter
from lading.core.spec import Example
from lading.image import compiled, examples
from lading.image.bill import without_secrets


def test_the_bill_of_a_compiled_image_lists_what_is_in_it(bill: Bill, layers: tuple[Layer, ...]) -> None:
    form = BilledForm(
        "/opt/lading/compiled", "forest", "auto", 0.0, 9, (BilledFile("form.json", 5, bill.lock),), bill.lock
    )
    lean = compiled(bill, form, layers[:1], Interpreter("/usr/bin/python3.11", "3.11.2"))
    assert Bill.parse(lean.encode()) == lean
    assert lean.environment.packages == ()
    assert lean.environment.path == lean.server.path
    assert lean.environment.base == bill.environment.base
    assert lean.model.files == bill.model.files
    assert [one.title for one in lean.layers] == [layers[0].title]


def test_a_bill_that_was_written_is_read_back(bill: Bill) -> None:
    assert Bill.parse(bill.encode()) == bill


def test_a_slim_bill_says_so_and_another_is_as_it_was_before_there_were_any(
    bill: Bill, layers: tuple[Layer, ...]
) -> None:
    numpy, other = (BilledSlim(name, "tests", 2, 300, 100) for name in ("numpy", "scikit_learn"))
    for rows in ((), (numpy, other)):
        slim = replace(bill, environment=replace(bill.environment, slim=rows))
        assert Bill.parse(slim.encode()) == slim
    assert "slim" not in bill.to_json()["environment"]
    form = BilledForm("/opt/lading/compiled", "onnx", "onnx", 0.1, 9, (), bill.lock)
    python = Interpreter("/usr/bin/python3.11", "3.11.2")
    assert compiled(slim, form, layers, python, ["numpy"]).environment.slim == (numpy,)
    assert compiled(slim, form, layers, python).environment.slim is None


def test_a_bill_has_the_shape_that_the_runtime_reads(bill: Bill) -> None:
    document = bill.to_json()
    assert document["schema"] == "application/vnd.lading.bill.v1+json"
    assert document["platform"] == "linux/amd64"
    assert document["model"]["path"] == "/opt/lading/model"
    assert document["model"]["loader_options"] == {"file": "model.joblib"}
    assert document["model"]["signature"]["inputs"] == [{"type": "double", "required": True, "name": "petal"}]
    assert document["environment"]["interpreter"] == "/usr/bin/python3.11"
    assert [one["name"] for one in document["environment"]["packages"]] == ["numpy", "scikit_learn"]
    assert document["server"]["path"] == "/opt/lading/server"
    assert document["server"]["routes"]["scoring"] == "/invocations"
    assert document["code"] == {"path": "/opt/lading/code", "entry": "score.py:run", "files": []}
    assert document["examples"][0]["rows"] == 2
    assert document["examples"][0]["has_outputs"] is True
    assert document["layers"][1]["title"] == "numpy 2.4.6"
    assert document["lock"].startswith("sha256:")


def test_a_bill_has_no_secret_and_no_path_of_the_machine_that_packs(bill: Bill) -> None:
    text = bill.encode().decode()
    assert "secret" not in text
    assert "/home" not in text
    assert "mine @ https://example.org/mine-1.whl" in text
    assert "local @ file:local-1.whl" in text


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("numpy>=2; python_version < '3.12'", "numpy>=2; python_version < '3.12'"),
        ("uvicorn[standard] ~=0.38", "uvicorn[standard] ~=0.38"),
        ("a @ https://token@example.org/x/a.whl#sha256=00", "a @ https://example.org/x/a.whl#sha256=00"),
        ("a @ git+ssh://git@example.org/a.git@main", "a @ git+ssh://example.org/a.git@main"),
        ("a @ https://example.org/a.whl?sv=1&sig=x ; os_name == 'posix'",
         "a @ https://example.org/a.whl ; os_name == 'posix'"),
        ("/home/me/wheels/a.whl", "a.whl"),
        ("-e /home/me/a", "-e a"),
        ("file:/home/me/a.whl", "file:a.whl"),
    ],
)  # fmt: skip
def test_what_a_requirement_must_not_tell_is_cut_out(requirement: str, expected: str) -> None:
    assert without_secrets(requirement) == expected


@given(st.from_regex(r"[a-z][a-z0-9-]{0,9}(\[[a-z]+\])?(==|>=|~=)[0-9]\.[0-9]", fullmatch=True))
def test_a_plain_requirement_is_left_as_it_is(requirement: str) -> None:
    assert without_secrets(requirement) == requirement


def test_a_later_version_may_add_keys(bill: Bill) -> None:
    document = bill.to_json()
    document["novelty"] = 1
    document["model"]["novelty"] = [1]
    assert Bill.parse(json.dumps(document).encode()) == bill


def edited(bill: Bill, path: str, value: Any) -> bytes:
    document: Any = bill.to_json()
    *parents, last = path.split("/")
    inner = document
    for key in parents:
        inner = inner[int(key) if isinstance(inner, list) else key]
    inner[last] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("schema", "application/vnd.lading.bill.v2+json", r"expected 'application/vnd\.lading\.bill\.v1"),
        ("name", 7, r"bill\.name: got 7, expected a text"),
        ("platform", "windows/amd64", r"bill\.platform: got 'windows/amd64'"),
        ("model", [], r"bill\.model: got \[\], expected an object"),
        ("model/files", {}, r"bill\.model\.files: got {}, expected a list"),
        ("model/files/1/digest", "md5:00", r"bill\.model\.files\[1\]\.digest: got 'md5:00'"),
        ("model/signature", {"inputs": 3}, r"bill\.model\.signature: got inputs 3"),
        ("environment/variables", {"A": 1}, r"bill\.environment\.variables\.A: got 1, expected a text"),
        ("server/port", "8080", r"bill\.server\.port: got '8080', expected a whole number"),
        ("server/port", True, r"bill\.server\.port: got True"),
        ("examples/0/has_outputs", None, r"has_outputs: got None, expected true or false"),
        ("layers/0/kind", "cargo", r"bill\.layers\[0\]\.kind: got 'cargo', expected 'base' or"),
    ],
)
def test_what_is_wrong_in_a_bill_is_named_with_its_place(
    bill: Bill, path: str, value: Any, complaint: str
) -> None:
    with pytest.raises(IntegrityError, match=complaint):
        Bill.parse(edited(bill, path, value))


def test_all_that_is_wrong_is_told_at_once(bill: Bill) -> None:
    document = bill.to_json()
    del document["name"]
    document["server"]["port"] = None
    with pytest.raises(IntegrityError) as caught:
        Bill.parse(json.dumps(document).encode())
    assert [str(issue) for issue in caught.value.issues] == [
        "bill: has no 'name'",
        "bill.server.port: got None, expected a whole number",
    ]


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"\xff", b"{}", b"[" * 100_000])
def test_what_is_no_bill_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        Bill.parse(data)


@pytest.mark.parametrize(
    ("inputs", "rows"),
    [
        ({"dataframe_split": {"columns": ["a"], "data": [[1], [2], [3]]}}, 3),
        ({"dataframe_records": [{"a": 1}, {"a": 2}]}, 2),
        ({"instances": [[1], [2]]}, 2),
        ({"inputs": {"left": [1, 2, 3], "right": [4, 5, 6]}}, 3),
        ({"inputs": "one text"}, 1),
        ([[1], [2]], 2),
        ({"prompt": "hello"}, 1),
        ({"instances": {}}, 1),
        (None, 1),
    ],
)
def test_rows_of_an_example_are_counted_in_each_of_its_forms(inputs: Any, rows: int) -> None:
    assert examples.rows(inputs) == rows


def test_an_example_is_written_for_replay() -> None:
    written = json.loads(examples.encode(Example({"instances": [1]}, [2], tolerance=0)))
    assert written == {"inputs": {"instances": [1]}, "outputs": [2], "tolerance": 0.0}


def test_an_example_that_json_cannot_say_is_refused() -> None:
    for inputs in ({1, 2}, "\udcff"):
        with pytest.raises(IntegrityError, match="cannot be written as JSON"):
            examples.encode(Example(inputs))
