"""A scoring script as Azure ML's users write them; both servers run it."""

import numpy as np
import pandas as pd
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema(
    "data", PandasParameterType(pd.DataFrame({"a": [1.5], "thal": ["normal"]}), enforce_shape=False)
)
@input_schema("rows", NumpyParameterType(np.array([[1, 2]])))
@input_schema("way", StandardPythonParameterType("fast"))
@output_schema(NumpyParameterType(np.array([0.5])))
def run(data, rows, way="slow"):
    return {
        "types": [str(one) for one in data.dtypes],
        "thal": data["thal"].tolist(),
        "sum": int(rows.sum()),
        "way": way,
    }
