"""An ONNX graph under MLServer, which has no runtime of its own for it."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from model import load


class Onnx(MLModel):
    """The model."""

    async def load(self) -> bool:
        """Load."""
        self.session = load(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Predict."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("predict", self.session(rows))
        return InferenceResponse(model_name=self.name, outputs=[output])
