"""Networks that PyTorch, Keras and TensorFlow saved, packaged: they answer as the framework does."""

import shutil

import pytest

from training import SAMPLES, trained

OF_TORCH = (
    *("scripted.pt", "traced.pt", "two.pt2", "old.pt2", "dict.pt2", "tree.pt2"),
    *("layers.pth", "legacy.pth", "net.pth"),
)
OF_KERAS = (
    *("chain.keras", "both.keras", "lambda.keras", "chain.h5", "doubled", "exported"),
    *("renamed-keras.bin", "renamed-h5.bin"),
)
WEIGHTS = ("state.pth", "weights.safetensors")
ROUTINE = """\
import torch
from nets import Net
{imports}

class Model:
    def load(self, path):
        self.net = Net()
        self.net.load_state_dict({load})
        self.net.eval()

    def predict(self, inputs: list[list[float]]) -> list[list[float]]:
        with torch.no_grad():
            return self.net(torch.tensor(inputs)).tolist()
"""
LOADING = {
    "state.pth": ("", 'torch.load(f"{path}/state.pth", weights_only=True)'),
    "weights.safetensors": (
        "from safetensors.torch import load_file\n",
        'load_file(f"{path}/weights.safetensors")',
    ),
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="session")
def pytorch(tmp_path_factory):
    return trained("make_torch.py", tmp_path_factory.mktemp("torch"), "torch==2.13.0", "numpy", "safetensors")


@pytest.fixture(scope="session")
def tensorflow(tmp_path_factory):
    return trained(
        "make_keras.py", tmp_path_factory.mktemp("keras"), "tensorflow-cpu==2.21.0", "keras==3.15.1"
    )


@pytest.mark.parametrize("name", OF_TORCH)
def test_pytorchs_programs_and_modules_answer_as_pytorch_does(name, pytorch, packed):
    folder, answers = pytorch
    settings = {"code": str(SAMPLES / "nets.py")} if name == "net.pth" else {}
    packed(folder / name, answers[name], requirements=["torch==2.13.0", "numpy"], **settings)


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_with_code_answer_as_pytorch_does(name, pytorch, packed, tmp_path):
    folder, answers = pytorch
    imports, load = LOADING[name]
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "serve.py").write_text(ROUTINE.format(imports=imports, load=load))
    shutil.copy(SAMPLES / "nets.py", tmp_path / "code")
    needed = ["torch==2.13.0", "numpy", "safetensors"]
    (tmp_path / "model").mkdir()
    shutil.copy(folder / name, tmp_path / "model")
    packed(tmp_path / "model", answers[name], requirements=needed, code=str(tmp_path / "code"))


@pytest.mark.parametrize("name", OF_KERAS)
def test_networks_of_keras_and_tensorflow_answer_as_they_do(name, tensorflow, packed):
    folder, answers = tensorflow
    allowed = {"allow_unsafe": ["lambda", "keras.layers.Lambda"]} if name == "lambda.keras" else {}
    packed(folder / name, answers[name], **allowed)
