"""Trees and weights in, a graph of ONNX that adds them up, and the text that asks it, out.

The statements around it are those of the exact forms: what comes before the sums and what becomes of them.
So cells are rounded where the original rounds them, and thresholds keep their precision.
"""

# weights and what ONNX makes of them are of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lading_runtime.compile.notes import NotCompiled, Source
from lading_runtime.compile.trees import Tree

FILE = "model.onnx"
_OPSET, _ML_OPSET, _ML_OPSET_OF_CLASSES = 18, 5, 3  # which onnxruntime 1.21 reads
_LEQ = 0
MODULE = '''

import os

import numpy
import onnxruntime


def open_session():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    path = os.path.join(os.path.dirname(__file__), "model.onnx")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


SESSION = open_session()


def ask(rows):
    """Give the graph's answer to each row."""
    given = numpy.array(rows, dtype="{dtype}").reshape(len(rows), {width})
    (found,) = SESSION.run(["{output}"], {{"x": given}})
    return {picked}.tolist()
'''
_PICKED = {
    "rows": "found.reshape(len(rows), {columns})",
    "labels": "found.ravel()",
    # the first highest, which is known before sums are rounded to single precision
    "highest": "numpy.eye({columns})[found]",
}


class Graph:
    """The one graph of a form, and the text of the module that asks it."""

    ir_version = 10  # as above

    def __init__(self, method: str) -> None:
        """Begin with none."""
        self.method = method
        self.data = b""
        self.text = ""
        self.labels: Any = None
        """What the graph calls labels → what they are; None where it gives numbers."""
        self.fitted: Any = None

    def add_trees(self, source: Source, trees: Sequence[Tree], cells: Sequence[str]) -> None:
        """Have trees added up; each sum gets its part of the answer."""
        targets = list(dict.fromkeys(one for tree in trees for one in tree.targets))
        if any(tree.members for tree in trees):
            raise NotCompiled("categories of trees, for ONNX")
        if not self.data:
            several = any(len(tree.targets) > 1 for tree in trees)
            if several and len(targets) > 2:
                self._add_classes(trees, targets, len(cells))
            else:  # of two classes ONNX compares one with a half
                apart = [one for tree in trees for one in _apart(tree)] if several else trees
                self._add_sums(apart, targets, len(cells))
        source.ask(cells)
        source.body += [f"{one} += t[{place}]" for place, one in enumerate(targets)]

    def set(self, nodes: Any, output: str, shape: tuple[int, int], dtype: str, **more: Any) -> None:
        """Make the model of nodes, from the cells of an input `x` to an answer's: `shape` of a row.

        `more`: `initializer`, the `ml_opset` that the nodes are of, and the type `told` of the answer.
        """
        import onnx

        helper, kinds = onnx.helper, onnx.TensorProto
        kind = {"float64": kinds.DOUBLE, "float32": kinds.FLOAT}[dtype]
        is_label = output == "label"
        told = kinds.INT64 if is_label else more.get("told", kind)
        graph = helper.make_graph(
            nodes,
            "lading",
            [helper.make_tensor_value_info("x", kind, [None, shape[0]])],
            [helper.make_tensor_value_info(output, told, [None] if is_label else [None, shape[1]])],
            initializer=more.get("initializer"),
        )
        imports = {"": _OPSET, "ai.onnx.ml": more.get("ml_opset", _ML_OPSET)}
        opsets = [helper.make_opsetid(*one) for one in imports.items()]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=self.ir_version, producer_name="lading"
        )
        self.take(model.SerializeToString(), output, shape, dtype, "highest" if is_label else "rows")

    def take(self, data: bytes, output: str, shape: tuple[int, int], dtype: str, pick: str) -> None:
        """Keep a model, and write how it is asked: for one output, of which a row has a part."""
        self.data = data
        picked = _PICKED[pick].format(columns=shape[1])
        self.text = MODULE.format(dtype=dtype, width=shape[0], output=output, picked=picked)

    def _add_sums(self, trees: Sequence[Tree], targets: Sequence[str], width: int) -> None:
        """Write trees whose leaves add to one sum each, in the precision of the sums."""
        import onnx

        is_single = targets[0].startswith("a[")
        kind = onnx.TensorProto.FLOAT if is_single else onnx.TensorProto.DOUBLE
        table = _Nodes()
        for tree in trees:
            table.add(tree, targets.index(tree.targets[0]))

        def tensor(name: str, kind: int, values: Sequence[Any]) -> Any:
            return onnx.helper.make_tensor(name, kind, [len(values)], values)

        node = onnx.helper.make_node(
            "TreeEnsemble",
            ["x"],
            ["sums"],
            domain="ai.onnx.ml",
            aggregate_function=1,  # SUM
            post_transform=0,
            n_targets=len(targets),
            tree_roots=table.roots,
            nodes_featureids=table.feature,
            nodes_splits=tensor("splits", kind, table.threshold),
            nodes_modes=tensor("modes", onnx.TensorProto.UINT8, [_LEQ] * len(table.feature)),
            nodes_truenodeids=table.first,
            nodes_falsenodeids=table.second,
            nodes_trueleafs=table.first_is_leaf,
            nodes_falseleafs=table.second_is_leaf,
            nodes_missing_value_tracks_true=table.missing,
            leaf_targetids=table.targets,
            leaf_weights=tensor("weights", kind, table.weights),
        )
        self.set([node], "sums", (width, len(targets)), "float32" if is_single else "float64")

    def _add_classes(self, trees: Sequence[Tree], targets: Sequence[str], width: int) -> None:
        """Write trees whose leaves add to the sums of all classes."""
        import onnx

        double = onnx.TensorProto.DOUBLE
        numbers: dict[str, Any] = {}

        def put(**more: Any) -> None:
            for name, value in more.items():
                numbers.setdefault(name, []).append(value)

        for number, tree in enumerate(trees):
            for place, feature in enumerate(tree.feature):
                leaf = feature < 0
                put(
                    nodes_treeids=number,
                    nodes_nodeids=place,
                    nodes_featureids=max(feature, 0),
                    nodes_values=0.0 if leaf else tree.threshold[place],
                    nodes_modes="LEAF" if leaf else "BRANCH_LEQ",
                    nodes_truenodeids=0 if leaf else tree.left[place],
                    nodes_falsenodeids=0 if leaf else tree.right[place],
                    nodes_missing_value_tracks_true=int(tree.missing_left[place]),
                )
                for target, value in enumerate(tree.values[place] if leaf else ()):
                    put(class_treeids=number, class_nodeids=place, class_ids=target, class_weights=value)
        for name in ("nodes_values", "class_weights"):
            values = numbers.pop(name)
            numbers[f"{name}_as_tensor"] = onnx.helper.make_tensor(name, double, [len(values)], values)
        node = onnx.helper.make_node(
            "TreeEnsembleClassifier",
            ["x"],
            ["label", "scores"],
            domain="ai.onnx.ml",
            classlabels_int64s=list(range(len(targets))),
            post_transform="NONE",
            **numbers,
        )
        output = "label" if self.method == "predict" else "scores"
        self.set(
            [node],
            output,
            (width, len(targets)),
            "float64",
            told=onnx.TensorProto.FLOAT,
            ml_opset=_ML_OPSET_OF_CLASSES,
        )


def _apart(tree: Tree) -> list[Tree]:
    """Give each sum a tree of its own."""
    return [
        tree._replace(values=[one[place : place + 1] for one in tree.values], targets=[target])
        for place, target in enumerate(tree.targets)
    ]


class _Nodes:
    """Trees as ONNX lists them: questions and leaves apart."""

    def __init__(self) -> None:
        self.roots: list[int] = []
        self.feature: list[int] = []
        self.threshold: list[float] = []
        self.first: list[int] = []
        self.second: list[int] = []
        self.first_is_leaf: list[int] = []
        self.second_is_leaf: list[int] = []
        self.missing: list[int] = []
        self.targets: list[int] = []
        self.weights: list[float] = []

    def add(self, tree: Tree, target: int) -> None:
        """Add a tree; one that asks nothing asks something whose answer does not matter."""
        asked = [node for node, feature in enumerate(tree.feature) if feature >= 0]
        nodes = {node: len(self.feature) + place for place, node in enumerate(asked)}
        leaves: dict[int, int] = {}
        for node, feature in enumerate(tree.feature):
            if feature < 0:
                leaves[node] = len(self.weights)
                self.weights.append(float(tree.values[node][0]))
                self.targets.append(target)
        self.roots.append(len(self.feature))
        if not asked:
            self._ask(0, 0.0, (leaves[0], leaves[0]), (1, 1), missing=False)
        for node in asked:
            ways = (tree.left[node], tree.right[node])
            first, second = (leaves.get(one, nodes.get(one, 0)) for one in ways)
            kinds = (int(ways[0] in leaves), int(ways[1] in leaves))
            missing = tree.missing_left[node]
            self._ask(tree.feature[node], tree.threshold[node], (first, second), kinds, missing=missing)

    def _ask(
        self, feature: int, limit: float, ways: tuple[int, int], kinds: tuple[int, int], *, missing: bool
    ) -> None:
        self.feature.append(feature)
        self.threshold.append(limit)
        self.first.append(ways[0])
        self.second.append(ways[1])
        self.first_is_leaf.append(kinds[0])
        self.second_is_leaf.append(kinds[1])
        self.missing.append(int(missing))
