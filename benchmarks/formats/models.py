"""Train a small model of a format, save it as its library does and by MLflow, and write down what it answers.

`models.py NAME FOLDER [own]`, run where the library and MLflow are. `own/` and `full/` get a lading.yaml with
the answers as its example, `mlflow/` is what MLflow saved. Networks are the tests' samples.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.models.cli import commands
from mlflow.pyfunc.scoring_server import predictions_to_json
from sklearn.datasets import load_breast_cancer

SAMPLES = Path(__file__).parents[2] / "tests" / "model" / "samples"
FRAME, TARGET = load_breast_cancer(return_X_y=True, as_frame=True)
FRAME = FRAME.rename(columns=lambda name: name.replace(" ", "_"))
ARRAY = FRAME.to_numpy(dtype=np.float32)
FEW = 60
SCORE = """\
import numpy


class Model:
    def load(self, path):
        self.centres = numpy.load(f"{path}/centres.npy")

    def predict(self, inputs: list[list[float]]) -> list[int]:
        far = [[abs(centre - row).sum() for centre in self.centres] for row in numpy.array(inputs)]
        return [int(numpy.argmin(one)) for one in far]
"""
CODED = """\
import numpy
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Nearest(PythonModel):
    def load_context(self, context):
        self.centres = numpy.load(context.artifacts["centres"])

    def predict(self, context, model_input, params=None):
        rows = numpy.asarray(model_input)
        return [int(numpy.argmin([abs(centre - row).sum() for centre in self.centres])) for row in rows]


set_model(Nearest())
"""
WEIGHTS = """\
import torch
from nets import Net
from safetensors.torch import load_file


class Model:
    def load(self, path):
        self.net = Net()
        self.net.load_state_dict(load_file(f"{path}/weights.safetensors"))
        self.net.eval()

    def predict(self, inputs: list[list[float]]) -> list[list[float]]:
        with torch.no_grad():
            return self.net(torch.tensor(inputs)).tolist()
"""


@dataclass(frozen=True)
class Made:
    """A saved model: its path below the folder, a request, what the library answers; `save` is MLflow's."""

    model: str
    asked: dict[str, Any]
    said: Any
    save: Callable[[str], None] | None = None
    settings: dict[str, Any] = field(default_factory=dict)


def split(frame: pd.DataFrame) -> dict[str, Any]:
    """Write rows as a request."""
    return {"dataframe_split": json.loads(frame.to_json(orient="split", index=False, double_precision=15))}


def columns(said: Any) -> dict[str, Any]:  # noqa: ANN401 - what a library answers
    """Tell MLflow of a table with these answers."""
    return {"signature": infer_signature(FRAME, said)}


def on_frame(model: str, said: Any, save: Callable[..., None], **settings: Any) -> Made:  # noqa: ANN401
    """A model that was asked for the table's first rows."""
    found = np.asarray(said)[:FEW]
    return Made(
        model, split(FRAME[:FEW]), found.tolist(), lambda path: save(path, **columns(found)), settings
    )


def sampled(program: str, folder: Path, name: str) -> tuple[Any, Any]:
    """Run a program that makes the tests' samples; return what was asked of one, and answered."""
    sys.argv = [program, str(folder)]
    sys.path.insert(0, str(SAMPLES))
    runpy.run_path(str(SAMPLES / program), run_name="__main__")
    asked, said = json.loads((folder / "answers.json").read_text())[name]
    return asked, said


def python(folder: Path) -> Made:
    """Nearest centre, as a class of one's own; MLflow has it as a model from code."""
    (folder / "model").mkdir()
    centres = np.array([FRAME[kind == TARGET].mean() for kind in (0, 1)])
    np.save(folder / "model" / "centres.npy", centres)
    (folder / "model" / "score.py").write_text(SCORE)
    (folder / "model" / "requirements.txt").write_text(f"numpy=={np.__version__}\n")
    (folder / "coded.py").write_text(CODED)
    far = [[np.abs(centre - row).sum() for centre in centres] for row in FRAME[:FEW].to_numpy()]
    said = np.argmin(far, axis=1)
    artifacts = {"centres": str(folder / "model" / "centres.npy")}

    def save(path: str) -> None:
        code = str(folder / "coded.py")
        mlflow.pyfunc.save_model(
            path, python_model=code, artifacts=artifacts, signature=infer_signature(FRAME.to_numpy(), said)
        )

    return Made("model", {"inputs": FRAME[:FEW].to_numpy().tolist()}, said.tolist(), save)


def estimator(*, trees: bool) -> Any:  # noqa: ANN401 - of scikit-learn
    """Train a pipeline; trees are none of what skops, and so MLflow by default, trusts."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    last = RandomForestClassifier(50, random_state=0) if trees else LogisticRegression()
    return make_pipeline(StandardScaler(), last).fit(FRAME, TARGET)


def sklearn(folder: Path) -> Made:
    """A pipeline in a file of joblib's."""
    import joblib

    model = estimator(trees=True)
    joblib.dump(model, folder / "model.joblib")

    def save(path: str, **more: Any) -> None:  # noqa: ANN401
        mlflow.sklearn.save_model(model, path, serialization_format="cloudpickle", **more)

    needed = [f"scikit-learn=={__import__('sklearn').__version__}"]
    return on_frame("model.joblib", model.predict(FRAME), save, requirements=needed)


def skops(folder: Path) -> Made:
    """A pipeline in a file of skops."""
    from skops.io import dump

    model = estimator(trees=False)
    dump(model, folder / "model.skops")

    def save(path: str, **more: Any) -> None:  # noqa: ANN401
        mlflow.sklearn.save_model(model, path, serialization_format="skops", **more)

    return on_frame("model.skops", model.predict(FRAME), save)


def of_mlflow(folder: Path) -> Made:
    """A pipeline that MLflow saved, as MLflow saves it by default."""
    model = estimator(trees=False)
    said = model.predict(FRAME)
    return on_frame(str(folder.parent / "mlflow"), said, lambda path, **more: _default(model, path, **more))


def _default(model: Any, path: str, **more: Any) -> None:  # noqa: ANN401
    mlflow.sklearn.save_model(model, path, **more)


def xgboost(folder: Path) -> Made:
    """A classifier in UBJSON."""
    import xgboost as library

    model = library.XGBClassifier(n_estimators=50, max_depth=4).fit(FRAME, TARGET)
    model.save_model(folder / "model.ubj")
    return on_frame(
        "model.ubj",
        model.predict(FRAME),
        lambda path, **more: mlflow.xgboost.save_model(model, path, **more),
    )


def lightgbm(folder: Path) -> Made:
    """A booster as text."""
    import lightgbm as library

    model = library.train({"objective": "binary", "verbose": -1}, library.Dataset(FRAME, TARGET), 50)
    model.save_model(folder / "model.txt")
    needed = [f"lightgbm=={library.__version__}"]
    return on_frame(
        "model.txt",
        model.predict(FRAME),
        lambda path, **more: mlflow.lightgbm.save_model(model, path, **more),
        requirements=needed,
    )


def catboost(folder: Path) -> Made:
    """A classifier in CatBoost's own file."""
    import catboost as library

    model = library.CatBoostClassifier(iterations=50, depth=4, verbose=0, allow_writing_files=False)
    model.fit(FRAME, TARGET).save_model(folder / "model.cbm")
    return on_frame(
        "model.cbm",
        model.predict(FRAME),
        lambda path, **more: mlflow.catboost.save_model(model, path, **more),
    )


def onnx(folder: Path) -> Made:
    """A forest that skl2onnx wrote."""
    from onnxruntime import InferenceSession
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestRegressor

    model = to_onnx(RandomForestRegressor(50, random_state=0).fit(ARRAY, TARGET), ARRAY[:1])
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    session = InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    said = session.run(None, {session.get_inputs()[0].name: ARRAY[:FEW]})[0]
    named = {session.get_outputs()[0].name: said.tolist()}  # as MLflow answers

    def save(path: str) -> None:
        mlflow.onnx.save_model(model, path, signature=infer_signature(ARRAY, said))

    return Made("model.onnx", {"inputs": ARRAY[:FEW].tolist()}, named, save)


def statsmodels(folder: Path) -> Made:
    """Results of a linear regression, pickled."""
    import statsmodels.api as library

    model = library.OLS(TARGET, FRAME).fit()
    model.save(folder / "model.pkl")
    said = model.predict(FRAME)
    needed = [f"statsmodels=={__import__('statsmodels').__version__}"]
    return Made(
        "model.pkl",
        split(FRAME[:FEW]),
        [{"0": one} for one in said[:FEW]],
        lambda path: mlflow.statsmodels.save_model(model, path, **columns(said)),
        {"requirements": needed},
    )


def prophet(folder: Path) -> Made:
    """A trend with regressors, bounded."""
    from prophet.serialize import model_from_json

    asked, said = sampled("make_prophet.py", folder, "prophet_bounded.json")
    model = model_from_json((folder / "prophet_bounded.json").read_text())
    return Made("prophet_bounded.json", asked, said, lambda path: mlflow.prophet.save_model(model, path))


def spacy(folder: Path) -> Made:
    """A pipeline that tells categories."""
    import spacy as library

    asked, said = sampled("make_spacy.py", folder, "cats")
    signature = infer_signature(pd.DataFrame({"text": ["good"]}))
    model = library.load(folder / "cats")
    return Made("cats", asked, said, lambda path: mlflow.spacy.save_model(model, path, signature=signature))


def pmml(folder: Path) -> Made:
    """A regression written by hand, which arithmetic answers too."""
    shutil.copy(SAMPLES / "regression.pmml", folder)
    rows = pd.DataFrame({"age": [4.0, 10.125], "rooms": [2, 3], "area": ["town", "land"]})
    price = 10.5 - 0.25 * rows["age"] + 2 * rows["rooms"] ** 2 + 3.75 * (rows["area"] == "town")
    return Made("regression.pmml", split(rows), [{"predicted_price": one} for one in price])


def _network(folder: Path, name: str, save: Callable[[Any, str], None] | None, **settings: Any) -> Made:  # noqa: ANN401
    """One of the samples of PyTorch; MLflow saves the layers, or the network, that it was made of."""
    import torch as library

    asked, said = sampled("make_torch.py", folder, name)
    needed = [f"torch=={library.__version__.partition('+')[0]}", "numpy"]
    layers = library.load(folder / "layers.pth", weights_only=False)
    by = (lambda path: save(layers, path)) if save else None
    return Made(name, asked, said, by, {"requirements": needed, **settings})


def _pytorch(model: Any, path: str, **more: Any) -> None:  # noqa: ANN401
    rows = np.zeros((2, 4), np.float32)
    mlflow.pytorch.save_model(model, path, signature=infer_signature(rows, rows[:, :3]), **more)


def torch(folder: Path) -> Made:
    """A module that `torch.save` wrote whole."""
    return _network(
        folder, "layers.pth", lambda layers, path: _pytorch(layers, path, serialization_format="pickle")
    )


def torchscript(folder: Path) -> Made:
    """A traced program."""
    import torch as library

    def save(_: Any, path: str) -> None:  # noqa: ANN401
        _pytorch(library.jit.load(folder / "traced.pt"), path, serialization_format="pickle")

    return _network(folder, "traced.pt", save)


def torch_export(folder: Path) -> Made:
    """An exported program; MLflow exports the layers itself."""

    def save(layers: Any, path: str) -> None:  # noqa: ANN401
        _pytorch(layers, path, serialization_format="pt2", input_example=np.zeros((2, 4), np.float32))

    return _network(folder, "old.pt2", save)


def safetensors(folder: Path) -> Made:
    """Weights, and code that makes a network of them; MLflow has the network with its code."""
    import torch as library

    def save(_: Any, path: str) -> None:  # noqa: ANN401
        net = library.load(folder / "net.pth", weights_only=False)
        _pytorch(net, path, serialization_format="pickle", code_paths=[str(SAMPLES / "nets.py")])

    (folder / "code").mkdir()
    (folder / "code" / "serve.py").write_text(WEIGHTS)
    shutil.copy(SAMPLES / "nets.py", folder / "code")
    made = _network(folder, "weights.safetensors", save, code="code")
    (folder / "model").mkdir()
    shutil.move(folder / "weights.safetensors", folder / "model")
    made.settings["requirements"].append("safetensors")
    return Made("model", made.asked, made.said, made.save, made.settings)


def keras(folder: Path) -> Made:
    """Dense layers in a file of Keras'."""
    import keras as library

    asked, said = sampled("make_keras.py", folder, "chain.keras")
    rows = np.array(asked["inputs"], np.float32)
    signature = infer_signature(rows, np.array(said, np.float32))
    model = library.models.load_model(folder / "chain.keras")
    # MLflow asks for Keras alone, which loads nothing without a backend
    needed = [f"{one}=={version(one)}" for one in ("keras", "tensorflow-cpu", "numpy")]
    more = {"signature": signature, "pip_requirements": needed}
    return Made("chain.keras", asked, said, lambda path: mlflow.keras.save_model(model, path, **more))


def savedmodel(folder: Path) -> Made:
    """A program of TensorFlow's."""
    import tensorflow as tf

    asked, said = sampled("make_keras.py", folder, "exported")
    rows = np.array(asked["inputs"], np.float32)
    signature = infer_signature(rows, np.array(said, np.float32))

    class Module(tf.Module):  # type: ignore[misc,name-defined,unused-ignore]
        """What MLflow saves, which takes no program that was loaded: it calls this."""

        def __init__(self) -> None:
            super().__init__()
            self.loaded = tf.saved_model.load(str(folder / "exported"))

        @tf.function(input_signature=[tf.TensorSpec([None, rows.shape[1]], tf.float32)])  # type: ignore[misc,unused-ignore]
        def __call__(self, given: Any) -> Any:  # noqa: ANN401 - a tensor
            return self.loaded.serve(given)

    save = mlflow.tensorflow.save_model
    return Made("exported", asked, said, lambda path: save(Module(), path, signature=signature))


def transformers(folder: Path) -> Made:
    """A tiny BERT that tells labels."""
    from transformers import pipeline

    asked, said = sampled("make_transformers.py", folder, "labels")
    model = pipeline("text-classification", model=str(folder / "labels"))
    needed = [
        f"transformers=={__import__('transformers').__version__}",
        f"torch=={_torch()}",
        "numpy",
        "pandas<3",
    ]
    # MLflow would ask for torchvision too, wherever there is PyTorch
    more = {"task": "text-classification", "pip_requirements": [*needed, "accelerate"]}
    return Made(
        "labels",
        asked,
        said,
        lambda path: mlflow.transformers.save_model(model, path, **more),
        {"requirements": needed},
    )


def sentence_transformers(folder: Path) -> Made:
    """A tiny BERT that embeds texts."""
    from sentence_transformers import SentenceTransformer

    asked, said = sampled("make_transformers.py", folder, "sentences")
    model = SentenceTransformer(str(folder / "sentences"), device="cpu")
    needed = ["sentence-transformers", f"torch=={_torch()}", "numpy", "pandas<3"]
    return Made(
        "sentences",
        asked,
        said,
        lambda path: mlflow.sentence_transformers.save_model(model, path),
        {"requirements": needed},
    )


def _torch() -> str:
    import torch as library

    return str(library.__version__.partition("+")[0])


def ask_mlflow(path: Path, asked: dict[str, Any]) -> Any:  # noqa: ANN401 - what a client gets
    """Return what MLflow itself answers."""
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    model = mlflow.pyfunc.load_model(str(path))
    schema = model.metadata.get_input_schema()
    rows = infer_and_parse_data(asked, schema)
    text = StringIO()
    predictions_to_json(model.predict(rows), text)
    return json.loads(text.getvalue())["predictions"]


def write(folder: Path, name: str, settings: dict[str, Any], asked: Any, said: Any) -> None:  # noqa: ANN401
    """Write a lading.yaml with an example."""
    example = {"inputs": asked, "outputs": said}
    (folder / "lading.yaml").write_text(json.dumps({"name": name, "example": example, **settings}))


def main(name: str, folder: Path, *, by_mlflow: bool = True) -> None:
    """Make the model, and the files of both ways."""
    warnings.simplefilter("ignore")
    own, full = folder / "own", folder / "full"
    own.mkdir(), full.mkdir()
    made = (of_mlflow if name == "mlflow" else globals()[name])(own)
    more = json.loads(os.environ.get("SETTINGS", "{}"))
    write(
        own,
        f"{name.replace('_', '-')}-own",
        {"model": made.model, **made.settings, **more},
        made.asked,
        made.said,
    )
    if made.save and (by_mlflow or name == "mlflow"):
        made.save(path := str(folder / "mlflow"))
        said = ask_mlflow(folder / "mlflow", made.asked)
        settings = {"model": "../mlflow", "loader": "mlflow", **more}
        commands(["generate-dockerfile", "-m", path, "-d", str(folder / "image")], standalone_mode=False)
        write(full, f"{name.replace('_', '-')}-full", settings, made.asked, said)
    (folder / "request.json").write_text(json.dumps(made.asked))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).resolve(), by_mlflow="own" not in sys.argv[3:])
