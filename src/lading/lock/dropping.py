"""What is in an environment for the sake of training, and what leaving it out saves.

A name in the table is a reason to try, never to drop: whether the predictions are the same without it is
seen in a sandbox.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from lading.core.lock import ALONE, Dropped, Lock, LockedWheel, PlatformLock
from lading.core.spec import DISTRIBUTION
from lading.lock import sources
from lading.lock.question import Question

BY_HAND = "by hand"
_PURPOSES: Mapping[str, str] = {
    "tracking": """
        mlflow mlflow-skinny mlflow-tracing wandb neptune neptune-client comet-ml clearml aim dvc dvclive
        tensorboard tensorboardx sacred codecarbon dagshub trackio swanlab azureml-core azureml-mlflow
        azure-ai-ml databricks-cli databricks-sdk sagemaker sagemaker-mlflow google-cloud-aiplatform""",
    "plotting": """
        matplotlib seaborn plotly bokeh altair pygal graphviz pydot pydotplus pygraphviz plotnine holoviews
        hvplot datashader kaleido folium wordcloud missingno yellowbrick scikit-plot mpld3 dtreeviz
        adjusttext""",
    "notebooks": """
        jupyter jupyterlab notebook ipykernel ipython ipywidgets nbformat nbconvert nbclient jupyter-client
        jupyter-core jupyter-server jupyter-console qtconsole papermill jupytext voila""",
    "training": """
        optuna optuna-integration hyperopt keras-tuner scikit-optimize bayesian-optimization ax-platform
        nevergrad smac lightning pytorch-lightning torchmetrics trl evaluate datasets tensorflow-datasets
        imbalanced-learn boruta""",
    "explaining": "shap lime eli5 alibi captum dalex interpret-community",
    "profiling of data": """
        ydata-profiling pandas-profiling sweetviz autoviz great-expectations evidently deepchecks dataprep""",
    "development": """
        pytest pytest-cov pytest-xdist pytest-mock coverage hypothesis tox nox black ruff flake8 pylint isort
        mypy pre-commit autopep8 yapf bandit sphinx mkdocs mkdocs-material twine build pip-tools poetry hatch
        line-profiler memory-profiler py-spy debugpy jedi ipdb pyright""",
    "another server": """
        streamlit gradio dash gunicorn uvicorn flask flask-cors waitress fastapi bentoml mlserver cog
        torchserve torch-model-archiver kserve seldon-core tritonclient""",
    "MLflow's server": """
        alembic docker graphene huey prometheus-flask-exporter querystring-parser sqlalchemy sqlparse""",
}
_WHY = {name: why for why, names in _PURPOSES.items() for name in names.split()}
_TRAINS_ON_GPUS = re.compile(r"nvidia-nccl-cu\d+")
_NETWORKS = frozenset({"torch", "jax", "jaxlib", "cupy", "tensorflow"})
_OF_MODEL = {"pickle", "file", "installed"}
_NAMED = re.compile(
    r"No module named '([\w.-]+)'|No package metadata was found for ([\w.-]+)|The '([\w.-]+)' distribution"
)
# what is imported under another name than it is installed under
_MODULES = {
    "imblearn": "imbalanced-learn",
    "skopt": "scikit-optimize",
    "bayes_opt": "bayesian-optimization",
    "IPython": "ipython",
    "scikitplot": "scikit-plot",
    "kerastuner": "keras-tuner",
    # what is brought along
    "PIL": "pillow",
    "yaml": "pyyaml",
    "dateutil": "python-dateutil",
    "sklearn": "scikit-learn",
    "google": "protobuf",
    "git": "gitpython",
    "dotenv": "python-dotenv",
    "jwt": "pyjwt",
}


def candidates(lock: Lock, keep: Sequence[str]) -> tuple[str, ...]:
    """Name what a lock's model may do without, but for what is kept (`*` and `?` match as in file names).

    What the model's own files name is none of it, nor what was tried before and needed.
    """
    own = {sources.name_of(one.text) for one in lock.requirements if one.origin in _OF_MODEL}
    needed = set(lock.trial.needed if lock.trial else ())
    names = _names(lock)
    found = {name for name in names if _purpose(name, names) and name not in own | needed}
    if "mlflow" not in names:
        found = {name for name in found if _WHY.get(name) != "MLflow's server"}
    return tuple(sorted(name for name in found if not is_kept(name, keep)))


def kept_among(lock: Lock, keep: Sequence[str]) -> set[str]:
    """Name what of a lock's libraries the author keeps."""
    return {name for name in _names(lock) if is_kept(name, keep)}


def is_kept(name: str, keep: Iterable[str]) -> bool:
    """Tell whether the author keeps a distribution."""
    return any(fnmatch.fnmatchcase(name, sources.normalise(one)) for one in keep)


def _names(lock: Lock) -> set[str]:
    """Name the model's libraries, on any platform."""
    return {sources.normalise(one.name) for part in lock.platforms for one in part.model}


def _purpose(name: str, names: Collection[str]) -> str | None:
    # XGBoost asks for NCCL, which it loads when it trains on several GPUs, and for nothing else
    if _TRAINS_ON_GPUS.fullmatch(name) and "xgboost" in names and _NETWORKS.isdisjoint(names):
        return "training"
    return _WHY.get(name)


def weighed(lock: Lock, full: Lock, by_hand: Iterable[str] = ()) -> Lock:
    """Tell of each platform what is left out of it that was in the full lock, and why."""
    chosen = set(map(sources.normalise, by_hand))
    parts = (
        replace(one, dropped=tuple(_dropped(one.model, full.on(one.platform), chosen)))
        for one in lock.platforms
    )
    return replace(lock, platforms=tuple(parts))


def trimmed(lock: Lock, answer: Lock) -> Lock:
    """Give a lock the model's libraries of an answer to it with less, or with more; all else stays.

    What was left out of it and has not come back still is.
    """
    parts = []
    for one in lock.platforms:
        model = answer.on(one.platform).model
        there = {wheel.name for wheel in model}
        before = [dropped for dropped in one.dropped if dropped.name not in there]
        parts.append(replace(one, model=model, dropped=(*before, *_dropped(model, one, ()))))
    return replace(
        lock,
        spec_digest=answer.spec_digest,
        requirements=answer.requirements,
        platforms=tuple(parts),
    )


def pins(part: PlatformLock) -> Iterator[str]:
    """Pin what a lock has for a model, so that asking again for less brings no other versions."""
    return (f"{one.name}=={one.version}" for one in part.model)


def leaves_out(question: Question, environ: Mapping[str, str]) -> bool:
    """Tell whether anything is asked for that a server is known not to need."""
    read = sources.load(question.requirements_file, environ, solves=question.conda == "solve")
    texts = (*(one.text for one in question.requirements), *read.requirements)
    asked = {sources.name_of(one) for one in texts}
    return not asked.isdisjoint(map(sources.normalise, question.without))


def unknown(key: str, given: Iterable[str], lock: Lock) -> Iterator[str]:
    """Say of each distribution to drop or keep that nothing asks for it, and what may have been meant."""
    names = _names(lock) | {sources.normalise(one.name) for part in lock.platforms for one in part.dropped}
    for one in given:
        if DISTRIBUTION.match(one) and sources.normalise(one) not in names:
            near = difflib.get_close_matches(sources.normalise(one), names, 1)
            yield f"{key}: nothing asks for {one!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def _dropped(model: Iterable[LockedWheel], full: PlatformLock, by_hand: Collection[str]) -> Iterator[Dropped]:
    left = {one.name for one in model}
    names = {sources.normalise(one.name) for one in full.model}
    for one in sorted(full.model):
        if one.name not in left:
            name = sources.normalise(one.name)
            why = BY_HAND if name in by_hand else _purpose(name, names) or ALONE
            yield Dropped(one.name, one.version, one.size_bytes, why)


def named(text: str, dropped: Collection[str]) -> tuple[str, ...]:
    """Return what of the dropped distributions an error's text says is missing."""
    return providing((part for found in _NAMED.findall(text) for part in found if part), dropped)


def providing(modules: Iterable[str], dropped: Collection[str]) -> tuple[str, ...]:
    """Return what of the dropped distributions provides modules."""
    modules = {one.partition(".")[0] for one in modules}
    names = {sources.normalise(one) for one in modules} | {_MODULES[one] for one in modules & _MODULES.keys()}
    # a namespace is shared by several: `databricks` by databricks-sdk, `azure` by azure-ai-ml
    return tuple(sorted(one for one in dropped if one in names or one.partition("-")[0] in names))
