"""A pipeline of spaCy's, the folder of `Language.to_disk`, in; its parts, requirements and what is code out.

`config.cfg` names what makes each part, which spaCy looks up among what installed distributions and imported
modules have registered. What is none of spaCy's own has to be registered by a module that the author ships.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile, Requirement, Risk
from lading.core.signature import Field, Signature
from lading.model.distributions import distribution_of, installed_version
from lading.model.files import read_text
from lading.model.flavour import Flavour, Lean
from lading.model.plain import facts_of, start_of
from lading.model.request import Request

_CONFIG, _META = "config.cfg", "meta.json"
_MOST_BYTES = 16 << 20
_SECTIONS = re.compile(rb"^\[nlp\]\s*$", re.MULTILINE)
_OWN = re.compile(r"(?:spacy|spacy-legacy|spacy-transformers|spacy-curated-transformers)\.[\w.-]+")
"""Names that spaCy and the distributions of its makers register."""
_FACTORY_NAMES = """
    attribute_ruler beam_ner beam_parser curated_transformer doc_cleaner entity_linker entity_ruler
    future_entity_ruler lemmatizer merge_entities merge_noun_chunks merge_subtokens morphologizer ner
    nn_labeller parser sentencizer senter span_finder span_ruler spancat spancat_singlelabel tagger textcat
    textcat_multilabel tok2vec token_splitter trainable_lemmatizer transformer
    """
_FACTORIES = frozenset(_FACTORY_NAMES.split())
_LAYER_NAMES = """
    CauchySimilarity ClippedLinear Dish Dropout Embed Gelu HardSigmoid HardSwish HardSwishMobilenet HardTanh
    HashEmbed LSTM LayerNorm Linear Logistic Maxout Mish MultiSoftmax ParametricAttention PyTorchLSTM Relu
    ReluK Sigmoid Softmax SparseLinear Swish add bidirectional chain clone concatenate expand_window
    list2array list2padded list2ragged noop padded2list premap_ids ragged2list reduce_first reduce_last
    reduce_max reduce_mean reduce_sum remap_ids residual resizable siamese sigmoid_activation
    softmax_activation strings2arrays tuplify uniqued with_array with_array2d with_cpu with_flatten
    with_getitem with_list with_padded with_ragged with_reshape
    glorot_normal_init glorot_uniform_init he_normal_init he_uniform_init lecun_normal_init
    lecun_uniform_init normal_init uniform_init zero_init
    """
_LAYERS = frozenset(_LAYER_NAMES.split())
"""Layers and initializers of Thinc, each with a version behind it."""
_CATEGORIES = ("textcat", "textcat_multilabel")


@dataclass(frozen=True, slots=True)
class _Named:
    """A name that is looked up when the pipeline is loaded."""

    registry: str
    name: str


def recognise(request: Request) -> bool:
    """Tell whether the path is, or holds, a folder of spaCy's."""
    return any(_folders(request))


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of the one pipeline; raise ModelError for several, or a broken one."""
    folders = list(_folders(request))
    if len(folders) != 1:
        names = ", ".join(map(repr, folders))
        issue = Issue(str(request.path), f"holds {len(folders)} pipelines of spaCy: {names}", "point to one")
        raise ModelError(issue)
    folder = folders[0]
    files = {one.path: one for one in request.files}
    meta_file, config_file = files[_join(folder, _META)], files[_join(folder, _CONFIG)]
    meta = _meta(meta_file)
    config = _config(config_file)
    named = list(dict.fromkeys(_named(config)))
    parts = [one.name for one in named if one.registry == "factory"]
    registered = {one: _module_of(one.name, request.code) for one in named if not _is_known(one)}
    version = _version(meta)
    has_categories = any(one in _CATEGORIES for one in parts)
    options: dict[str, Any] = {"file": folder}
    modules = sorted({one for one in registered.values() if one})
    if modules:
        options["imports"] = modules
    if not has_categories:
        options["answer"] = "doc"
    return facts_of(
        request,
        form="spacy",
        name=f"{meta.get('lang')}_{meta.get('name')}",
        loader="spacy",
        options=options,
        requirements=tuple(_requirements(meta, version)),
        modules=("spacy", *modules),
        framework="spacy",
        version=version,
        signature=Signature((Field("string", "text"),), (Field("any", "predictions", required=False),)),
        risks=tuple(_risk(config_file.path, one) for one, module in registered.items() if module is None),
        notes=(
            f"parts: {', '.join(map(str, meta.get('pipeline') or ())) or 'none'}",
            "answers with the categories of a text" if has_categories else "answers with Doc.to_json()",
        ),
    )


def by_mlflow(given: Flavour) -> Lean | None:
    """Load the folder, and answer with categories, as MLflow does."""
    file = given.file(given.settings.get("data"), given.pyfunc.get("data"))
    return Lean("spacy", {"file": file}, (given.pandas,)) if file else None


def _folders(request: Request) -> Iterator[str]:
    """List the folders that hold a pipeline; '' is the model's own."""
    paths = {one.path for one in request.files}
    for one in request.files:
        folder, name = str(PurePosixPath(one.path).parent), PurePosixPath(one.path).name
        is_config = name == _CONFIG and _join(folder, _META) in paths
        if is_config and _SECTIONS.search(start_of(one, 1 << 16)) and request.path.is_dir():
            yield folder


def _join(folder: str, name: str) -> str:
    return str(PurePosixPath(folder, name))


def _meta(file: ModelFile) -> Mapping[str, Any]:
    try:
        found = json.loads(read_text(file.source, file.path, _MOST_BYTES))
    except (ValueError, RecursionError) as error:
        raise ModelError(Issue(file.path, f"is no JSON: {error}", "save the pipeline again")) from error
    if not isinstance(found, dict):
        raise ModelError(Issue(file.path, "is no object", "save the pipeline again"))
    return found


def _config(file: ModelFile) -> configparser.ConfigParser:
    """Read the config as Thinc does; values are JSON."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#", ";"))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(read_text(file.source, file.path, _MOST_BYTES))
    except configparser.Error as error:
        raise ModelError(Issue(file.path, f"cannot be read: {error}"[:300], "save it again")) from error
    return parser


def _named(config: configparser.ConfigParser) -> Iterator[_Named]:
    """List what is looked up when the pipeline is made; training and initialization are another matter."""
    for section in config.sections():
        if section.partition(".")[0] not in {"nlp", "components"}:
            continue
        for key, value in config.items(section):
            if key in {"factory", "source"} and section.count(".") == 1:
                yield _Named(key, _plain(value))
            elif key.startswith("@"):
                yield _Named(key[1:], _plain(value))
            else:
                # a value may be a block in itself
                yield from (_Named(*one) for one in _within(value))


def _plain(value: str) -> str:
    try:
        return str(json.loads(value))
    except ValueError:
        return value


def _within(value: str) -> Iterator[tuple[str, str]]:
    if "@" not in value:
        return
    try:
        queue = [json.loads(value)]
    except (ValueError, RecursionError):
        return
    while queue:
        one = queue.pop()
        if isinstance(one, dict):
            yield from ((key[1:], str(inner)) for key, inner in one.items() if key.startswith("@"))
            queue.extend(one.values())
        elif isinstance(one, list):
            queue.extend(one)


def _is_known(one: _Named) -> bool:
    if one.registry == "factory":
        # a language has some of its own: `en.lemmatizer`
        return one.name.rpartition(".")[2] in _FACTORIES
    layer, _, version = one.name.rpartition(".")
    return _OWN.fullmatch(one.name) is not None or (
        layer in _LAYERS and re.fullmatch(r"v\d+", version) is not None
    )


def _module_of(name: str, code: Path | None) -> str | None:
    """Find the author's module that says this name, as what registers it does."""
    if code is None:
        return None
    root = code if code.is_dir() else code.parent
    for file in sorted(root.rglob("*.py")) if code.is_dir() else [code]:
        try:
            tree = ast.parse(read_text(file, file.name, _MOST_BYTES))
        except (SyntaxError, ValueError, RecursionError, ModelError):
            continue
        if any(isinstance(node, ast.Constant) and node.value == name for node in ast.walk(tree)):
            parts = file.relative_to(root).with_suffix("").parts
            return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return None


def _risk(where: str, one: _Named) -> Risk:
    if one.registry == "source":
        return Risk(where, one.name, "a part that is taken from another pipeline, which is loaded for it")
    what = "a part" if one.registry == "factory" else f"one of {one.registry}"
    why = f"{what} that spaCy does not have: ship the module that registers it as code"
    return Risk(where, one.name, why)


def _version(meta: Mapping[str, Any]) -> str | None:
    """Tell the version that saved it, which is the least that it asks for: `>=3.8.2,<3.9.0`."""
    found = re.match(r">=(\d+\.\d+\.\d+)(?:,|$)", str(meta.get("spacy_version") or ""))
    return found[1] if found else None


def _requirements(meta: Mapping[str, Any], version: str | None) -> Iterator[Requirement]:
    """List spaCy within the bounds that the pipeline sets, the release here where it is one, and the rest."""
    asked = re.sub(r"\s", "", str(meta.get("spacy_version") or ""))
    here = installed_version("spacy")
    if version and re.fullmatch(r"[\d.,<>=!~]+", asked):
        yield Requirement(f"spacy=={here}" if here == version else f"spacy{asked}", "file")
    else:
        yield Requirement(f"spacy=={here}" if here else "spacy", "installed" if here else "file")
    yield Requirement("pandas<3", "file")
    listed = meta.get("requirements")
    for one in listed if isinstance(listed, list) else ():
        requirement = Requirement(str(one), "file")
        if distribution_of(requirement) not in {"spacy", "pandas"}:
            yield requirement
