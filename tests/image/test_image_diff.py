"""What differs between two bills, and whether a client would notice."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.bill import Bill, BilledFile, BilledForm, BilledPackage
from lading.core.digest import Digest
from lading.core.signature import NESTED, SCALARS, Field, Signature
from lading.image import compare, contract
from lading.image.diff import Answers

FIELDS = st.builds(
    Field,
    type=st.sampled_from(SCALARS),
    name=st.sampled_from("abcd"),
    required=st.booleans(),
)
SIGNATURES = st.none() | st.builds(
    Signature,
    inputs=st.lists(FIELDS, max_size=3, unique_by=lambda one: one.name).map(tuple),
    outputs=st.lists(FIELDS, max_size=2, unique_by=lambda one: one.name).map(tuple),
    params=st.lists(
        st.builds(
            Field,
            type=st.sampled_from(SCALARS),
            name=st.sampled_from("xy"),
            default=st.integers(0, 2),
        ),
        max_size=2,
        unique_by=lambda one: one.name,
    ).map(lambda found: tuple(sorted(found, key=lambda one: one.name))),  # their order means nothing
)


@given(SIGNATURES)
def test_a_signature_does_not_differ_from_itself(signature: Signature | None) -> None:
    assert list(contract.compare(signature, signature)) == []


@given(SIGNATURES, SIGNATURES)
def test_swapping_swaps_before_and_after(one: Signature | None, other: Signature | None) -> None:
    there = {(it.part, it.name, str(it.before), str(it.after)) for it in contract.compare(one, other)}
    back = {(it.part, it.name, str(it.after), str(it.before)) for it in contract.compare(other, one)}
    assert there == back


@given(SIGNATURES, SIGNATURES)
def test_signatures_that_differ_have_a_change(one: Signature | None, other: Signature | None) -> None:
    assert bool(list(contract.compare(one, other))) == (one != other)


@pytest.mark.parametrize(("tolerance", "notice"), [(0.0, "no"), (1e-6, "maybe")])
def test_a_form_in_the_place_of_a_model_is_told_of(bill: Bill, tolerance: float, notice: str) -> None:
    form = BilledForm("/opt/lading/compiled", "forest", "auto", tolerance, 9, (), bill.lock)
    lean = replace(bill, model=replace(bill.model, compiled=form))
    (change,) = compare(bill, lean).changes
    assert (change.part, change.before, change.notice) == ("served by", "the model", notice)
    assert change.after.startswith("compiled forest")


def column(name: str, kind: str = "double", **more: Any) -> Field:
    return Field(kind, name, **more)


A, B = column("a"), column("b", "long")


def tensor(dtype: str, *shape: int) -> Field:
    return Field("tensor", None, dtype=dtype, shape=shape)


def nested(**properties: Any) -> Field:
    return column("o", "object", nested={"properties": {"x": {"type": "long"}, **properties}})


@pytest.mark.parametrize(
    ("before", "after", "notice"),
    [
        ([A], [A, B], "yes"),
        ([A], [A, column("b", required=False)], "maybe"),
        ([A, B], [A], "yes"),
        ([A, B], [B, A], "yes"),
        ([A], [column("a", required=False)], "no"),
        ([column("a", required=False)], [A], "yes"),
        ([A], [column("a", "float")], "yes"),
        ([column("a", "float")], [A], "no"),
        ([column("a", "integer")], [column("a", "long")], "no"),
        ([column("a", "long")], [column("a", "integer")], "yes"),
        ([column("a", "integer")], [A], "no"),
        ([column("a", "long")], [A], "maybe"),
        ([A], [column("a", "string")], "yes"),
        ([A], [column("a", "any")], "no"),
        ([A], [tensor("float64", -1, 1)], "yes"),
        ([tensor("float32", -1, 4)], [tensor("float64", -1, 4)], "no"),
        ([tensor("float64", -1, 4)], [tensor("float32", -1, 4)], "yes"),
        ([tensor("uint8", -1, 4)], [tensor("int16", -1, 4)], "no"),
        ([tensor("float32", -1, 4)], [tensor("float32", -1, -1)], "no"),
        ([tensor("float32", -1, -1)], [tensor("float32", -1, 4)], "yes"),
        ([tensor("float32", -1, 4)], [tensor("float32", -1, 4, 1)], "yes"),
        ([nested()], [nested(y={"type": "long"})], "yes"),
        ([nested()], [nested(y={"type": "long", "required": False})], "no"),
        ([nested(y={"type": "long"})], [nested()], "yes"),
        ([nested()], [nested(x={"type": "double"})], "maybe"),
        ([], [A], "maybe"),
        ([A], [], "maybe"),
    ],
)
def test_what_a_client_notices_of_inputs(before: list[Field], after: list[Field], notice: str) -> None:
    found = contract.compare(Signature(tuple(before)), Signature(tuple(after)))
    assert max((one.notice for one in found), key=contract.ORDER.index) == notice


@pytest.mark.parametrize(
    ("before", "after", "notice"),
    [
        (Signature(outputs=(A,)), Signature(outputs=(A, B)), "yes"),
        (Signature(outputs=(A,)), Signature(outputs=(column("a", "float"),)), "yes"),
        (Signature(outputs=(A,)), Signature(), "maybe"),
        (None, Signature((A,)), "maybe"),
        (Signature(), Signature(params=(column("p", default=1.0),)), "no"),
        (Signature(params=(column("p", default=1.0),)), Signature(), "yes"),
        (
            Signature(params=(column("p", default=1.0),)),
            Signature(params=(column("p", default=2.0),)),
            "maybe",
        ),
        (Signature(params=(column("p", default=1.0),)), Signature(params=(column("p", "string"),)), "yes"),
    ],
)
def test_what_a_client_notices_of_outputs_and_parameters(
    before: Signature | None, after: Signature | None, notice: str
) -> None:
    found = contract.compare(before, after)
    assert max((one.notice for one in found), key=contract.ORDER.index) == notice


@pytest.mark.parametrize("old", [*SCALARS, *NESTED])
@pytest.mark.parametrize("new", [*SCALARS, *NESTED])
def test_any_takes_all_and_every_type_takes_itself(new: str, old: str) -> None:
    if new in {old, "any"}:
        assert contract.taken({"type": new}, {"type": old}) == "no"


def with_library(bill: Bill, version: str, name: str = "numpy") -> Bill:
    """Give the bill one more library, or another version of one."""
    library = BilledPackage(name, version, Digest.of(version.encode()), 2000)
    others = tuple(one for one in bill.environment.packages if one.name != name)
    return replace(bill, environment=replace(bill.environment, packages=(*others, library)))


def test_a_bill_does_not_differ_from_itself(bill: Bill) -> None:
    found = compare(bill, bill)
    assert (found.changes, found.reasons, found.notice) == ((), (), "no")
    assert len(found.layers.shared) == 3
    assert not found.layers.before
    assert not found.layers.after


@pytest.mark.parametrize(
    ("old", "new", "notice"),
    [
        ("2.4.6", "2.4.7", "no"),
        ("2.4.6", "2.5.0", "maybe"),
        ("2.4.6", "3.0", "maybe"),
        ("1!2.4.6", "1!2.4.7", "no"),
        ("2.4.6", "2.4.6.post1", "no"),
        ("2", "3", "maybe"),
        ("nightly", "2.4", "maybe"),
    ],
)
def test_a_patch_level_is_not_noticed(bill: Bill, old: str, new: str, notice: str) -> None:
    found = compare(with_library(bill, old), with_library(bill, new))
    assert [(one.part, one.name) for one in found.changes] == [("library", "numpy")]
    assert found.notice == notice


def test_a_library_that_comes_or_goes_is_shown_and_not_noticed(bill: Bill) -> None:
    more = with_library(bill, "1.0", "tzdata")
    came, went = compare(bill, more), compare(more, bill)
    assert (came.changes[0].before, came.changes[0].after["version"]) == (None, "1.0")
    assert (went.changes[0].before["version"], went.changes[0].after) == ("1.0", None)
    assert (came.notice, went.notice) == ("no", "no")


def test_the_same_version_in_other_bytes_is_shown(bill: Bill) -> None:
    numpy = bill.environment.packages[0]
    other = replace(numpy, digest=Digest.of(b"built elsewhere"))
    packages = (other, *bill.environment.packages[1:])
    found = compare(bill, replace(bill, environment=replace(bill.environment, packages=packages)))
    assert [(one.name, one.why) for one in found.changes] == [("numpy", "the same version in other bytes")]


@pytest.mark.parametrize(
    ("part", "changes", "notice"),
    [
        ("server", {"port": 9000}, "yes"),
        ("server", {"name": "mlserver"}, "yes"),
        ("route", {"routes": {"scoring": "/score", "liveness": "/", "readiness": "/"}}, "yes"),
        ("server library", {"packages": ()}, "no"),
    ],
)
def test_a_client_notices_where_the_server_answers(
    bill: Bill, part: str, changes: dict[str, Any], notice: str
) -> None:
    found = compare(bill, replace(bill, server=replace(bill.server, **changes)))
    assert {one.part for one in found.changes} == {part}
    assert found.notice == notice


def test_a_further_route_takes_nothing_away(bill: Bill) -> None:
    routes = {**bill.server.routes, "metrics": "/metrics"}
    assert compare(bill, replace(bill, server=replace(bill.server, routes=routes))).notice == "no"


def test_another_model_may_predict_otherwise_and_recorded_answers_tell(bill: Bill) -> None:
    weights = replace(bill.model.files[1], digest=Digest.of(b"trained again"))
    other = replace(bill, model=replace(bill.model, files=(bill.model.files[0], weights)))
    assert compare(bill, other).notice == "maybe"
    equal = compare(bill, other, answers=Answers(150, 0))
    assert equal.notice == "maybe"
    assert "all 150 recorded predictions are equal" in equal.reasons[-1].what
    unequal = compare(bill, other, answers=Answers(150, 12, "row 3: 0 → 1"))
    assert unequal.notice == "yes"
    assert unequal.reasons[0].what.startswith("12 of 150 recorded predictions differ")


def test_code_assets_and_variables_may_be_noticed(bill: Bill) -> None:
    assert bill.code
    file = BilledFile("score.py", 10, Digest.of(b"code"))
    variables = {**bill.environment.variables, "OMP_NUM_THREADS": "2"}
    for other in (
        replace(bill, code=replace(bill.code, files=(file,))),
        replace(bill, code=replace(bill.code, entry="score.py:other")),
        replace(bill, assets=(file,)),
        replace(bill, environment=replace(bill.environment, variables=variables)),
        replace(bill, environment=replace(bill.environment, base="debian:trixie")),
        replace(bill, environment=replace(bill.environment, python="3.12.1")),
    ):
        found = compare(bill, other)
        assert len(found.changes) == 1
        assert found.notice == "maybe"


def test_names_tags_and_descriptions_are_not_noticed(bill: Bill) -> None:
    other = replace(bill, version="2", description=None, tags={"team": "zoology"}, name="flower")
    found = compare(bill, other)
    assert {one.name for one in found.changes} == {"name", "version", "description", "team"}
    assert found.notice == "no"


def test_layers_are_counted_by_digest(bill: Bill) -> None:
    other = replace(bill.layers[1], digest=Digest.of(b"other"), size_bytes=700)
    found = compare(bill, replace(bill, layers=(bill.layers[0], other, bill.layers[2])))
    assert [one.title for one in found.layers.shared] == ["python3.11 3.11.2-6", "iris"]
    assert [one.size_bytes for one in found.layers.before] == [1000]
    assert [one.size_bytes for one in found.layers.after] == [700]


def test_many_changes_of_one_consequence_are_one_reason(bill: Bill) -> None:
    more = bill
    for number in range(5):
        more = with_library(more, "1.0", f"library{number}")
    found = compare(bill, more)
    assert [one.what for one in found.reasons] == [
        "library library0, library1, library2 and 2 more: added or removed"
    ]


def test_what_verification_measured_is_set_side_by_side(bill: Bill) -> None:
    reports = ({"ready_s": 0.7, "figures": {"stop_s": 0.1}}, {"ready_s": 0.8, "latency_ms": 2.0})
    figures = compare(bill, bill, reports=reports).figures
    assert figures["ready_s"] == (0.7, 0.8)
    assert figures["latency_ms"] == (None, 2.0)
    assert figures["stop_s"] == (0.1, None)


def test_the_document_is_json(bill: Bill) -> None:
    found = compare(bill, with_library(bill, "9.9"), answers=Answers(1, 1, "row 0: 1 → 2"))
    document = json.loads(json.dumps(found.to_json()))
    assert document["client_would_notice"] == "yes"
    assert document["changes"][0]["after"]["version"] == "9.9"
    assert document["layers"]["shared"]["size_bytes"] == 3000
