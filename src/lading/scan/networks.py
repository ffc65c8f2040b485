"""Files of networks in, what of them could run code out: each form is followed as packing follows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lading.core.errors import ModelError
from lading.core.model import ModelFile, Risk
from lading.core.scan import Finding, Policy, Rule
from lading.model import keras, onnx, saved_model, torch_export, torch_walk, torchscript
from lading.model.code import FirstParty
from lading.model.zips import names_of
from lading.scan import rules
from lading.scan.archives import unreadable
from lading.scan.piece import Piece

_OWN = FirstParty()


@dataclass(frozen=True, slots=True)
class Form:
    """How files of a form are told and followed."""

    is_one: Callable[[ModelFile], bool]
    risks: Callable[[ModelFile], tuple[Risk, ...]]
    rule: Rule
    followed: tuple[str, ...] = ()
    """Pickles within it that it follows itself: no other reader could."""


_FORMS = (
    Form(saved_model.is_one, saved_model.risks, rules.TENSORFLOW_OP),
    Form(
        torchscript.is_one,
        lambda file: torchscript.look(file).risks,
        rules.TORCH_OP,
        ("data.pkl", "constants.pkl", "traced_inputs.pkl"),
    ),
    Form(torch_export.is_one, lambda file: torch_export.look(file).risks, rules.TORCH_OP),
    Form(
        torch_walk.is_one,
        lambda file: tuple(torch_walk.follow(file, _OWN).walked.risks.values()),
        rules.PICKLE,
        ("data.pkl",),
    ),
    Form(onnx.is_one, onnx.risks, rules.ONNX_OP),
    # of Keras' other form, which is a zip, the config is looked at by itself
    Form(keras.is_hdf5, keras.risks, rules.KERAS_CODE),
)


def form_of(piece: Piece) -> Form | None:
    """Tell which form it is of, None where of none."""
    return next((form for form in _FORMS if form.is_one(piece.model_file)), None)


def of_network(piece: Piece, form: Form, policy: Policy) -> Iterator[Finding]:
    """Follow it; what cannot be followed may hide anything."""
    try:
        found = form.risks(piece.model_file)
        for risk in found:
            yield Finding(form.rule, piece.file, risk.where, risk.name, risk.why)
        if form.rule is rules.PICKLE and policy.deny_globals:
            # what the list allows, the policy may deny
            named = torch_walk.follow(piece.model_file, _OWN).walked.names
            for name in sorted({f"{module}.{one}" for module, one in named} - {risk.name for risk in found}):
                if policy.denies(name):
                    yield Finding(rules.DENIED, piece.file, piece.name, name, "denied by the policy")
    except ModelError as error:
        yield unreadable(piece, error.issues[0].where, error.issues[0].what)


def of_graph(piece: Piece) -> Iterator[Finding]:
    """Follow a graph of TensorFlow's that is no SavedModel: frozen, or as text."""
    if saved_model.is_loose(piece.model_file):
        for risk in saved_model.loose_risks(piece.model_file):
            yield Finding(rules.TENSORFLOW_OP, piece.file, risk.where, risk.name, risk.why)


def members_followed(piece: Piece, form: Form | None) -> frozenset[str]:
    """Name the members of an archive that its form has followed."""
    if form is None or not form.followed:
        return frozenset()
    names = names_of(piece.model_file)
    prefix = next(iter(names), "").partition("/")[0]
    return frozenset(f"{prefix}/{name}" for name in form.followed)
