"""The nouns: what parses prints the same, and nothing else parses."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lading.core.descriptor import CONFIG, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LadingError, ModelError, SpecError
from lading.core.platform import Platform
from lading.core.reference import Reference
from lading.core.signature import NESTED, SCALARS, Field, Signature

digests = st.binary(max_size=20).map(Digest.of)
words = st.from_regex(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*", fullmatch=True).filter(
    lambda word: len(word) < 40
)
tags = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", fullmatch=True)
registries = st.sampled_from(
    ["localhost", "localhost:5000", "registry.example.com", "10.0.0.1:443", "[::1]:5000"]
)
json_scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


@given(digests)
def test_a_digest_prints_what_it_was_parsed_from(digest):
    assert Digest.parse(str(digest)) == digest


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:" + "A" * 64, "md5:" + "0" * 32, "sha256:" + "0" * 63, "0" * 64]
)
def test_what_is_no_digest_is_refused(text):
    with pytest.raises(IntegrityError, match="expected"):
        Digest.parse(text)


def test_a_digest_of_a_stream_is_that_of_its_bytes(tmp_path):
    path = tmp_path / "blob"
    path.write_bytes(b"x" * 3_000_000)
    with path.open("rb") as stream:
        assert Digest.of_stream(stream) == Digest.of(path.read_bytes())


@given(st.none() | registries, st.lists(words, min_size=1, max_size=4), st.none() | tags, st.none() | digests)
def test_a_reference_prints_what_it_was_parsed_from(registry, parts, tag, digest):
    text = "/".join(filter(None, (registry, *parts)))
    text += f":{tag}" if tag else ""
    text += f"@{digest}" if digest else ""
    # a first component with a dot is a registry's name
    assume(registry or len(parts) == 1 or "." not in parts[0])
    parsed = Reference.parse(text)
    assert str(parsed) == text
    assert parsed == Reference(registry, "/".join(parts), tag, digest)


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_a_spec_error(text):
    try:
        assert str(Reference.parse(text)) == text
    except SpecError as error:
        assert "expected" in str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    "text", ["", "Iris", "iris:", "iris:a b", "iris@sha256:0", "a//b", "-a", "x" * 256, "https://h/a"]
)
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(SpecError):
        Reference.parse(text)


def test_every_issue_of_a_reference_is_told():
    with pytest.raises(SpecError) as caught:
        Reference.parse("Iris:a b@sha256:0")
    assert len(caught.value.issues) == 3


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("linux/amd64", "linux/amd64"),
        ("x86_64", "linux/amd64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("AARCH64", "linux/arm64"),
    ],
)
def test_a_platform_has_one_spelling(text, printed):
    assert str(Platform.parse(text)) == printed
    assert Platform.parse(printed) == Platform.parse(text)


@pytest.mark.parametrize("text", ["", "windows/amd64", "linux/vax", "linux/amd64/v3", "linux/arm64/v8/x"])
def test_what_packages_cannot_be_made_for_is_refused(text):
    with pytest.raises(SpecError, match="linux/amd64 or linux/arm64"):
        Platform.parse(text)


@given(
    digests,
    st.integers(0, 2**60),
    st.dictionaries(st.text(), st.text()),
    st.sampled_from([None, Platform("linux", "arm64")]),
)
def test_a_descriptor_survives_json(digest, size, annotations, platform):
    descriptor = Descriptor(CONFIG, digest, size, annotations, platform, "text/x" if size % 2 else None)
    assert Descriptor.from_json(descriptor.to_json()) == descriptor


@pytest.mark.parametrize(
    "document", [{}, [], {"mediaType": "a", "digest": "b", "size": 1}, {"mediaType": 1}, None]
)
def test_what_is_no_descriptor_is_refused(document):
    with pytest.raises(IntegrityError):
        Descriptor.from_json(document)


fields = st.builds(
    Field,
    st.sampled_from(SCALARS + NESTED),
    st.none() | st.text(max_size=5),
    st.booleans(),
    nested=st.dictionaries(st.sampled_from(["items", "properties"]), json_scalars),
)
tensors = st.builds(
    Field,
    st.just("tensor"),
    st.none() | st.text(max_size=5),
    dtype=st.sampled_from(["float32", "int64", "str"]),
    shape=st.lists(st.integers(-1, 9), max_size=3).map(tuple),
)
params = st.builds(
    Field,
    st.sampled_from(SCALARS),
    st.text(max_size=5),
    shape=st.sampled_from([None, (-1,)]),
    default=json_scalars,
)


@given(
    st.lists(fields | tensors).map(tuple), st.lists(fields | tensors).map(tuple), st.lists(params).map(tuple)
)
def test_a_signature_survives_json(inputs, outputs, parameters):
    signature = Signature(inputs, outputs, parameters)
    assert Signature.from_json(signature.to_json()) == signature


def test_an_unknown_type_in_a_signature_is_refused():
    with pytest.raises(ModelError, match="got type 'complex', expected one of boolean"):
        Signature.from_json({"inputs": [{"type": "complex"}]})


def test_issues_print_where_what_and_fix():
    error = SpecError(Issue("lading.yaml:3", "nmae: unknown key", "did you mean 'name'?"), Issue("", "empty"))
    assert str(error) == "lading.yaml:3: nmae: unknown key\n  fix: did you mean 'name'?\nempty"


def test_every_family_has_an_exit_status_of_its_own():
    families = LadingError.__subclasses__()
    assert sorted(family.exit_status for family in families) == list(range(2, 2 + len(families)))
