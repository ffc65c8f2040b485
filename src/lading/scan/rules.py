"""The kinds of findings."""

from __future__ import annotations

from lading.core.scan import Rule

PICKLE = Rule(
    "pickle-name", "error", "A pickle names what is not on the list of what is safe to name while loading."
)
UNREADABLE = Rule("unreadable", "error", "What cannot be followed to its end may hide anything.")
KERAS_CODE = Rule(
    "keras-code", "error", "A Keras model brings code, names what is not Keras' own, or has it read files."
)
SKOPS_TYPE = Rule("skops-type", "warning", "A skops file names types that whoever loads it has to trust.")
TENSORFLOW_OP = Rule("tensorflow-op", "error", "A TensorFlow graph reads or writes files, or calls Python.")
ONNX_OP = Rule("onnx-custom-op", "warning", "An ONNX graph needs an operator from a library of its own.")
TORCH_OP = Rule("torch-program", "error", "A program of PyTorch's does or names what a model has no need to.")
CODE = Rule("compiled-code", "warning", "Compiled code: a library, a program or Python's byte code.")
REMOTE_CODE = Rule("remote-code", "warning", "A configuration names code that is run with trust_remote_code.")
MLFLOW_CODE = Rule("mlflow-code", "note", "An MLflow model brings Python code that is run to load it.")
XML_ENTITY = Rule("xml-entity", "error", "An XML document declares entities, which can read files.")
YAML_TAG = Rule("yaml-tag", "error", "A YAML document has tags that make and call what they name in Python.")
TEMPLATE = Rule("template", "warning", "A template reaches out of what it is given, as far as code.")
SECOND_OPINION = Rule("second-opinion", "error", "Another scanner found something.")
DENIED = Rule("denied", "error", "The policy denies it.")

RULES = (
    PICKLE,
    UNREADABLE,
    KERAS_CODE,
    SKOPS_TYPE,
    TENSORFLOW_OP,
    ONNX_OP,
    TORCH_OP,
    CODE,
    REMOTE_CODE,
    MLFLOW_CODE,
    XML_ENTITY,
    YAML_TAG,
    TEMPLATE,
    SECOND_OPINION,
    DENIED,
)
