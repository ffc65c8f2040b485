"""A scikit-learn estimator as the walk left it: its symbol goes in, what it is and what it takes come out.

The learnt attributes tell it: `feature_names_in_`, `n_features_in_`, `classes_`, `categories_`. What they do
not tell is left open, never guessed: a wrong signature refuses right requests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from lading.core.signature import Field, Signature
from lading.model.allowlist import ESTIMATOR_KINDS, OWN_CLASS
from lading.model.symbols import Array, Dtype, Instance, Symbol, is_a

_PIPELINES = {("sklearn.pipeline", "Pipeline"), ("imblearn.pipeline", "Pipeline")}
_SAMPLERS = ("imblearn.base", "imblearn.combine", "imblearn.over_sampling", "imblearn.under_sampling")
"""What a pipeline of imbalanced-learn passes by when it predicts."""
_COLUMN_TRANSFORMER = ("sklearn.compose._column_transformer", "ColumnTransformer")
_SELECTOR = ("sklearn.compose._column_transformer", "make_column_selector")
_INNER = (
    "best_estimator_",
    "regressor_",
    "calibrated_classifiers_",
    "estimators_",
    "estimator_",
    "estimator",
    "transformer_list",
)
"""Where meta-estimators keep what they wrap, most telling first."""
_FITTED = ("best_estimator_", "regressor_")
_TEXT = "sklearn.feature_extraction.text"
_OF_COUNTS = "TfidfTransformer"
"""Of the module of texts, and takes none."""
_BINARIZERS = ("_label_binarizer", "label_binarizer_")
_UNSURE = {"TransformedTargetRegressor", "ClassifierChain", "CCA", "PLSCanonical", "PLSRegression"}
"""What they predict has a shape or a type that hangs on the release, or on how the targets were given."""
_SHORT = ("sklearn.cluster._kmeans", "sklearn.cluster._bisect", "sklearn.linear_model._stochastic_gradient")
"""What answers with int32."""
_DEEPEST = 20
_MOST_VISITED = 300_000
_MOST_COLUMNS = 1_000_000


@dataclass(frozen=True, slots=True)
class Estimator:
    """What a pickled object is."""

    module: str
    name: str
    method: str
    """`predict`, or `transform` where there is nothing to predict."""
    version: str | None
    """Of the scikit-learn that saved it."""
    signature: Signature | None
    needs_pandas: bool


def describe(top: Symbol) -> Estimator | None:
    """Describe what loading would return, None where it is no object with a class."""
    if not isinstance(top, Instance):
        return None
    cls = top.factory
    if cls.module == "collections" or (cls.module, cls.name) == ("sklearn.utils._bunch", "Bunch"):
        return None
    final = _final(top)
    transforms = final.factory.kind == "transformer" or _takes_texts(final)
    method = "transform" if transforms else "predict"
    inputs = _inputs(top)
    outputs = _outputs(final) if method == "predict" and _is_known(final) else ()
    return Estimator(
        cls.module,
        cls.name,
        method,
        next(_versions(top), None),
        Signature(inputs, outputs) if inputs else None,
        any(map(_selects_by_name, _instances(top))) or not all(map(_is_known, _chain(top))),
    )


def _instances(top: Symbol) -> Iterator[Instance]:
    """Visit every instance once, breadth first."""
    queue: deque[Symbol] = deque([top])
    seen: set[int] = set()
    while queue and len(seen) < _MOST_VISITED:
        one = queue.popleft()
        if not isinstance(one, (Instance, list, tuple, dict)) or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Instance):
            yield one
            queue.append(one.state)
            queue.extend(one.arguments)
        else:
            queue.extend(one.values() if isinstance(one, dict) else one)


def _versions(top: Symbol) -> Iterator[str]:
    for one in _instances(top):
        version = one.attributes.get("_sklearn_version")
        if isinstance(version, str):
            yield version


def _selects_by_name(one: Instance) -> bool:
    """Tell whether it picks columns of a data frame, or makes one."""
    if one.attributes.get("pandas_categorical"):  # LightGBM knows its categories by pandas
        return True
    config = one.attributes.get("_sklearn_output_config")
    if isinstance(config, dict) and config.get("transform") == "pandas":
        return True
    if is_a(one, _COLUMN_TRANSFORMER):
        transformers = one.attributes.get("transformers")
        return isinstance(transformers, list) and any(
            _is_named(row[-1]) for row in transformers if _is_row(row)
        )
    return False


def _is_row(symbol: Symbol) -> bool:
    return isinstance(symbol, tuple) and len(symbol) >= 2


def _is_named(columns: Symbol) -> bool:
    if isinstance(columns, Array):
        columns = columns.items
    if isinstance(columns, list):
        columns = columns[0] if columns else None
    if isinstance(columns, Instance):
        return columns.factory.module.startswith("pandas") or is_a(columns, _SELECTOR)
    return isinstance(columns, str)


def _is_pipeline(instance: Instance) -> bool:
    return (instance.factory.module, instance.factory.name) in _PIPELINES


def _is_known(instance: Instance) -> bool:
    """Tell whether it keeps to scikit-learn's ways: what others learn of their inputs may be of any type."""
    factory = instance.factory
    listed = factory.kind not in {None, OWN_CLASS}
    return listed or _is_pipeline(instance) or factory.module.startswith("imblearn.ensemble.")


def _final(instance: Instance, depth: int = 0) -> Instance:
    """Go to what gives the predictions: the last step, or what a search found best."""
    attributes = instance.attributes
    following: Symbol = None
    if _is_pipeline(instance):
        following = _step(attributes.get("steps"), -1)
    elif "classes_" not in attributes and _is_known(instance):
        # a target that was a column is made one again
        inner = ("best_estimator_",) if attributes.get("_training_dim") == 2 else _FITTED
        following = next((attributes[key] for key in inner if key in attributes), None)
        if following is None and instance.factory.name == "FrozenEstimator":
            following = attributes.get("estimator")
    return _final(following, depth + 1) if isinstance(following, Instance) and depth < _DEEPEST else instance


def _first(instance: Instance) -> Instance | None:
    """Go one step to what sees the inputs first."""
    attributes = instance.attributes
    if _is_pipeline(instance):
        found = _step(attributes.get("steps"), 0)
    elif not _is_known(instance):
        return None
    else:
        found = next((attributes[key] for key in _INNER if attributes.get(key) is not None), None)
        if isinstance(found, list):
            found = found[0] if found else None
        if isinstance(found, tuple) and _is_row(found):
            found = found[1]
    return found if isinstance(found, Instance) else None


def _step(steps: Symbol, index: int) -> Symbol:
    """Return the estimator of a step, passing by those that pass everything through."""
    rows = steps if isinstance(steps, list) else []
    steps = [row[1] for row in rows if _is_row(row) and isinstance(row[1], Instance)]
    working = [one for one in steps if not one.factory.module.startswith(_SAMPLERS)]
    return working[index] if working else None


def _chain(top: Instance) -> Iterator[Instance]:
    current: Instance | None = top
    for _ in range(_DEEPEST):
        if current is None:
            return
        yield current
        current = _first(current)


def _inputs(top: Instance) -> tuple[Field, ...]:
    """Tell the inputs: named columns, or a matrix of so many columns, or texts."""
    names: list[str] | None = None
    count: int | None = None
    for one in _chain(top):
        attributes = one.attributes
        if names is None:
            names = _texts(attributes.get("feature_names_in_"))
        if count is None and type(attributes.get("n_features_in_")) is int:
            count = attributes["n_features_in_"]
        if _takes_texts(one) and count is None:
            return (Field("tensor", dtype="str", shape=(-1,)),)
    count = len(names) if names else count
    if count is None or not 0 < count <= _MOST_COLUMNS:
        return ()
    types = _column_types(top, count)
    if names:
        return tuple(
            Field(kind, name, required=kind != "any") for kind, name in zip(types, names, strict=True)
        )
    if set(types) == {"double"}:
        return (Field("tensor", dtype="float64", shape=(-1, count)),)
    if not all(map(_is_known, _chain(top))):
        return ()  # it may want names
    return tuple(Field(kind) for kind in types)


def _takes_texts(one: Instance) -> bool:
    return one.factory.module == _TEXT and one.factory.name != _OF_COUNTS


def _texts(symbol: Symbol) -> list[str] | None:
    items = symbol.items if isinstance(symbol, Array) else symbol if isinstance(symbol, list) else None
    if items and all(isinstance(one, str) for one in items):
        return list(items)
    return None


def _column_types(top: Instance, count: int) -> list[str]:
    """Tell each column's type: `double`, `string`, or `any` where the estimator does not say."""
    for one in _chain(top):
        attributes = one.attributes
        if is_a(one, _COLUMN_TRANSFORMER):
            return _transformed_types(attributes, count)
        if not _is_known(one):
            break
        types = _types_of(one, count)
        if types is not None:
            return types
    else:
        return ["double"] * count
    return ["any"] * count


def _transformed_types(attributes: dict[str, Symbol], count: int) -> list[str]:
    """Ask each part of a column transformer about the columns that it takes; dropped ones may be anything."""
    types = ["any"] * count
    places = attributes.get("_transformer_to_input_indices")
    transformers = attributes.get("transformers_")
    if not isinstance(places, dict) or not isinstance(transformers, list):
        return types
    for row in transformers:
        columns = places.get(row[0]) if _is_row(row) and isinstance(row[0], str) else None
        if not isinstance(columns, list) or row[1] == "drop":
            continue
        found = _part_types(row[1], len(columns))
        for column, kind in zip(columns, found, strict=True):
            if type(column) is int and 0 <= column < count:
                types[column] = kind
    return types


def _part_types(part: Symbol, count: int) -> list[str]:
    if not isinstance(part, Instance):
        return ["double"] * count
    for one in _chain(part):
        types = _types_of(one, count)
        if types is not None:
            return types
    # "passthrough" is fitted as a function transformer without a function
    computes = part.factory.name == "FunctionTransformer" and part.attributes.get("func") is not None
    known = part.factory.kind in ESTIMATOR_KINDS and not computes
    return ["double" if known else "any"] * count


def _types_of(one: Instance, count: int) -> list[str] | None:
    """Tell the types that one estimator was fitted on, None where it gives no sign of them."""
    attributes = one.attributes
    if _takes_texts(one):
        return ["string"] * count
    categories = attributes.get("categories_")
    if isinstance(categories, list) and len(categories) == count:
        return [_category_type(array) for array in categories]
    if isinstance(attributes.get("_fit_dtype"), Dtype):  # SimpleImputer
        return ["string" if attributes["_fit_dtype"].code[0] in "OU" else "double"] * count
    if attributes.get("is_categorical_") is not None:  # HistGradientBoosting
        return ["any"] * count
    return None


def _category_type(array: Symbol) -> str:
    if not isinstance(array, Array) or array.dtype is None:
        return "any"
    if array.dtype.code[0] == "U" or _texts(array) is not None:
        return "string"
    return "any" if array.dtype.holds_objects else "double"


def _outputs(one: Instance) -> tuple[Field, ...]:
    """Tell what `predict` returns, nothing where it is not sure."""
    classes = one.attributes.get("classes_")
    if one.factory.name in _UNSURE or any(map(_is_multilabel, map(one.attributes.get, _BINARIZERS))):
        return ()
    if isinstance(classes, Array):
        return _class_field(classes, (-1,))
    if isinstance(classes, list) and classes and all(isinstance(array, Array) for array in classes):
        fields = [_class_field(array, (-1, len(classes))) for array in classes]
        return fields[0] if all(field == fields[0] for field in fields) else ()
    kind = one.factory.kind
    if kind == "regressor":
        targets = _targets(one)
        return () if targets is None else (Field("tensor", dtype="float64", shape=(-1, *targets)),)
    if kind in {"clusterer", "outlier"}:
        short = one.factory.module.startswith(_SHORT)
        return (Field("tensor", dtype="int32" if short else "int64", shape=(-1,)),)
    return ()


def _is_multilabel(binarizer: Symbol) -> bool:
    """Tell whether there is one column for each class."""
    return isinstance(binarizer, Instance) and "multilabel" in str(binarizer.attributes.get("y_type_"))


def _class_field(classes: Array, shape: tuple[int, ...]) -> tuple[Field, ...]:
    code = classes.dtype.code if classes.dtype else "O"
    if code[0] in "iuf":
        kind = {"i": "int", "u": "uint", "f": "float"}[code[0]]
        return (Field("tensor", dtype=f"{kind}{int(code[1:]) * 8}", shape=shape),)
    if code[0] == "b":
        return (Field("tensor", dtype="bool", shape=shape),)
    if (code[0] == "U" or _texts(classes) is not None) and len(shape) == 1:
        return (Field("string"),)
    return ()


def _targets(one: Instance, depth: int = 0) -> tuple[int, ...] | None:
    """Tell the second dimension of a regressor's predictions, empty for one target, None where unsure."""
    attributes = one.attributes
    count = attributes.get("n_outputs_")
    if type(count) is int:
        return (count,) if count > 1 else ()
    estimators = attributes.get("estimators_")
    parts = estimators if isinstance(estimators, list) else []
    if one.factory.module == "sklearn.multioutput" and parts:
        of_classes = any(isinstance(part, Instance) and "classes_" in part.attributes for part in parts)
        return None if of_classes else (len(parts),)
    inner = parts[0] if one.factory.name == "BaggingRegressor" and parts else attributes.get("estimator_")
    if one.factory.name in {"BaggingRegressor", "RANSACRegressor"}:
        if not isinstance(inner, Instance) or inner.factory.kind != "regressor" or depth == _DEEPEST:
            return None
        return _targets(inner, depth + 1)
    # coefficients are (targets, features), remembered targets (rows, targets)
    places = {"_y": 1, "y_train_": 1} | ({"coef_": 0} if "linear_model" in one.factory.module else {})
    places |= {"dual_coef_": 1} if one.factory.name == "KernelRidge" else {}
    for key, place in places.items():
        array = attributes.get(key)
        if isinstance(array, Array) and array.shape is not None and len(array.shape) == 2:
            one_of_many = key == "y_train_" and array.shape[place] == 1
            return () if one_of_many else (array.shape[place],)
    return ()
