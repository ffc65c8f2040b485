"""A folder of Transformers or sentence-transformers in; architecture, task, versions and what is code out.

`config.json` names the architecture, whose last words tell the task of a pipeline; `modules.json` names the
parts of a sentence-transformer. Code that a folder brings (`auto_map`) is run only where that is allowed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFacts, ModelFile, Requirement, Risk
from lading.core.signature import Field, Signature
from lading.model import networks, safetensors
from lading.model.files import read_text
from lading.model.plain import facts_of, library, requirements_beside
from lading.model.request import Request
from lading.model.sklearn import follow_data
from lading.model.torch_needs import needed

_CONFIG, _MODULES, _SENTENCES = "config.json", "modules.json", "config_sentence_transformers.json"
_WEIGHTS = re.compile(r"(?:model|pytorch_model)(?:-\d+-of-\d+)?\.(?:safetensors|bin)")
_OF_TRAINING = re.compile(
    r"training_args\.bin|optimizer\.(?:pt|bin)|scheduler\.pt|rng_state.*\.pth|scaler\.pt"
)
"""What a trainer leaves beside a model; serving does not load it."""
_RELEASE = re.compile(r"\d+\.\d+(?:\.\d+)?(?:\.post\d+)?")
_MOST_BYTES = 64 << 20
_TASKS = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "Model": "feature-extraction",
}
_REMOVED = {"question-answering": (5, 3)}
"""Releases from which on Transformers has no pipeline of a task."""
_ANSWERS = {"text-classification": (Field("string", "label"), Field("double", "score"))}
_WRITING = re.compile(
    r"(?:\w*T5|M?Bart|Pegasus\w*|Blenderbot\w*|LED|M2M100)ForConditionalGeneration|MarianMTModel"
)
"""Architectures that write texts of texts."""
_PIECES = frozenset({"spiece.model", "sentencepiece.bpe.model", "tokenizer.model"})


def recognise(request: Request) -> bool:
    """Tell whether the path is a folder with a model of Transformers."""
    return request.path.is_dir() and _is_one(_names(request))


def inspect(request: Request) -> ModelFacts:
    """Tell the facts of a pipeline; raise ModelError for a task that cannot be told and for missing files."""
    files = _names(request)
    config = _read(files[_CONFIG])
    architecture = next(iter(config.get("architectures") or ()), None)
    task = next((task for end, task in _TASKS.items() if str(architecture).endswith(end)), None)
    if issues := safetensors.missing(request.files):
        raise ModelError(*issues)
    if task is None:
        what = f"its architecture is {architecture!r}, which tells none of the tasks that take texts"
        known = ", ".join(sorted(set(_TASKS.values())))
        fix = f"expected one of {known}; else give an inference routine as code"
        if _WRITING.fullmatch(str(architecture)):
            what = f"its architecture is {architecture!r}, for which Transformers has no pipeline from 5.0 on"
            fix = "give an inference routine as code, which asks its tokenizer and its generate()"
        raise ModelError(Issue(_CONFIG, what, fix))
    version = _release(config.get("transformers_version"))
    _check_is_there(request, task, version)
    risks = _risks(request)
    options: dict[str, Any] = {"file": ".", "task": task}
    names = ("question", "context") if task == "question-answering" else ("text",)
    return _facts(
        request,
        risks,
        form="transformers",
        name=str(architecture),
        loader="transformers",
        options=options,
        requirements=(
            _having(task, library("transformers", version)),
            *needed(None),
            *_pieces(files),
            Requirement("pandas<3", "file"),
        ),
        modules=_loading(config),
        framework="transformers",
        version=version,
        signature=Signature(tuple(Field("string", name) for name in names), _ANSWERS.get(task, ())),
        notes=(f"task {task}", *_weights(request)),
    )


def _loading(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Name what Transformers imports only when it is asked for, the architecture's module too."""
    kind = str(config.get("model_type")).replace("-", "_")
    own = (f"transformers.models.{kind}.modeling_{kind}",) if kind.isidentifier() else ()
    return ("transformers", "torch", "transformers.pipelines", "transformers.generation.utils", *own)


def _check_is_there(request: Request, task: str, version: str | None) -> None:
    """Raise ModelError where the release that saved the folder no longer has the task."""
    removed = _REMOVED.get(task)
    told = tuple(map(int, version.split(".")[:2])) if version else ()
    if removed is None or told < removed or requirements_beside(request.path):
        return
    below = ".".join(map(str, removed))
    what = f"is saved by Transformers {version}, which has no pipeline for {task}: {below} removed it"
    fix = f"write transformers<{below} and torch into a requirements.txt beside it, or give a routine"
    raise ModelError(Issue(_CONFIG, what, fix))


def _having(task: str, found: Requirement) -> Requirement:
    """Ask for a release that has the task, where the folder tells none."""
    if task not in _REMOVED or (found.origin == "file" and "=" in found.text):
        return found
    return Requirement(f"transformers<{'.'.join(map(str, _REMOVED[task]))}", "file")


def recognise_sentences(request: Request) -> bool:
    """Tell whether the path is a folder of sentence-transformers."""
    files = _names(request)
    return request.path.is_dir() and _MODULES in files and _SENTENCES in files


def inspect_sentences(request: Request) -> ModelFacts:
    """Tell the facts of a sentence-transformer; raise ModelError where a file is broken or missing."""
    files = _names(request)
    parts = _read(files[_MODULES], list)
    told = _read(files[_SENTENCES]).get("__version__")
    versions = {name: _release(one) for name, one in told.items()} if isinstance(told, dict) else {}
    if issues := safetensors.missing(request.files):
        raise ModelError(*issues)
    kinds = [str(one.get("type")) if isinstance(one, dict) else "" for one in parts]
    own = [one for one in kinds if not re.fullmatch(r"sentence_transformers(\.\w+)+", one)]
    risks = [
        *_risks(request),
        *(Risk(_MODULES, one, "a part that is none of the library's own") for one in own),
    ]
    version = versions.get("sentence_transformers")
    width = _width(files, parts)
    return _facts(
        request,
        risks,
        form="sentence_transformers",
        name=" → ".join(one.rpartition(".")[2] for one in kinds),
        loader="sentence_transformers",
        options={"file": "."},
        requirements=(
            library("sentence-transformers", version),
            library("transformers", versions.get("transformers")),
            *needed(versions.get("pytorch")),
            *_pieces(files),
        ),
        modules=("sentence_transformers", *_loading(_read(files[_CONFIG]) if _CONFIG in files else {})),
        framework="sentence-transformers",
        version=version,
        signature=Signature(
            (Field("string", "text"),), (Field("tensor", dtype="float32", shape=(-1, width)),)
        ),
        notes=_weights(request),
    )


def _facts(request: Request, risks: Iterable[Risk], *, options: dict[str, Any], **more: Any) -> ModelFacts:  # noqa: ANN401
    """Put the facts together; code of the folder is run where its author was allowed to bring it."""
    risks = tuple(dict.fromkeys(risks))
    if any(one.where.endswith(".json") for one in risks):
        options["remote_code"] = True
    return facts_of(request, options=options, risks=risks, **more)


def _names(request: Request) -> Mapping[str, ModelFile]:
    return {one.path: one for one in request.files}


def _is_one(files: Mapping[str, ModelFile]) -> bool:
    if _CONFIG not in files or not any(map(_WEIGHTS.fullmatch, files)):
        return False
    try:
        config = _read(files[_CONFIG])
    except ModelError:
        return False
    return "transformers_version" in config or {"architectures", "model_type"} <= config.keys()


def _read(file: ModelFile, kind: type = dict) -> Any:  # noqa: ANN401 - of that type
    try:
        found = json.loads(read_text(file.source, file.path, _MOST_BYTES))
    except (ValueError, RecursionError) as error:
        raise ModelError(Issue(file.path, f"is no JSON: {error}"[:300], "save the model again")) from error
    if not isinstance(found, kind):
        raise ModelError(Issue(file.path, f"is no {kind.__name__}", "save the model again"))
    return found


def _release(version: object) -> str | None:
    """Return a version that an index may have: neither one of a repository, nor a build's own name."""
    public = str(version).partition("+")[0]
    return public if _RELEASE.fullmatch(public) else None


def _risks(request: Request) -> Iterator[Risk]:
    """List what could run code: classes that a config names of the folder's modules, and pickles."""
    for file in request.files:
        path = PurePosixPath(file.path)
        if path.name.endswith("config.json"):
            config = _read(file, object)
            for key in ("auto_map", "custom_pipelines"):
                if isinstance(config, dict) and config.get(key):
                    for name in sorted(set(_texts(config[key]))):
                        yield Risk(file.path, name, f"{key}: code that comes with the model, run to load it")
    loaded = [one for one in request.files if not _OF_TRAINING.fullmatch(PurePosixPath(one.path).name)]
    yield from networks.risks(loaded, request.first_party)
    for found in follow_data(loaded, request.first_party):
        yield from [found] if isinstance(found, Risk) else found.walked.risks.values()


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def _weights(request: Request) -> tuple[str, ...]:
    """Say what the weights are, without which nothing would be known of their number."""
    loaded = [one for one in request.files if _WEIGHTS.fullmatch(PurePosixPath(one.path).name)]
    return tuple(seen.note for seen in networks.look(loaded, request.first_party) if seen.note)[:3]


def _pieces(files: Mapping[str, ModelFile]) -> tuple[Requirement, ...]:
    """Require what reads a vocabulary of SentencePiece, where there is no other."""
    is_alone = "tokenizer.json" not in files and not _PIECES.isdisjoint(files)
    return tuple(Requirement(one, "file") for one in ("sentencepiece", "protobuf")) if is_alone else ()


def _width(files: Mapping[str, ModelFile], parts: list[Any]) -> int:
    """Tell how long an embedding is, by the last part that says it; -1 where none does."""
    for part in reversed(parts):
        path = str(part.get("path") or "") if isinstance(part, dict) else ""
        file = files.get(str(PurePosixPath(path, _CONFIG)))
        config = _read(file) if file is not None else {}
        ways = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
        modes = str(config.get("pooling_mode") or "").count("+") + 1
        for key in ("out_features", "embedding_dimension", "word_embedding_dimension", "hidden_size"):
            if type(config.get(key)) is int:
                is_pooled = key.endswith("embedding_dimension")
                return int(config[key]) * ((len(ways) or modes) if is_pooled else 1)
    return -1
