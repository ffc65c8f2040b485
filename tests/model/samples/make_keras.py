"""Write the samples of Keras and TensorFlow: `python tests/model/samples/make_keras.py [FOLDER]`.

Run where TensorFlow is installed. With a folder, `answers.json` is written there too: what each model says.
"""

import json
import os
import shutil
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent


class Doubled(tf.Module):
    """A program of TensorFlow's own, whose signature has two inputs."""

    def __init__(self):
        super().__init__()
        self.weight = tf.Variable([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 3], tf.float32, "numbers"),
            tf.TensorSpec([None], tf.int64, "count"),
        ]
    )
    def serve(self, numbers, count):
        found = numbers @ self.weight * tf.cast(count, tf.float32)[:, None]
        return {"scores": found, "best": tf.argmax(found, 1)}


def networks():
    """Make a sequential network, and one of two inputs."""
    keras.utils.set_random_seed(0)
    chain = keras.Sequential(
        [keras.Input((4,), name="rows"), keras.layers.Dense(5, "relu"), keras.layers.Dense(3, "softmax")]
    )
    left, right = keras.Input((2,), name="left"), keras.Input((3,), name="right")
    joined = keras.layers.Concatenate()([left, right])
    outputs = [keras.layers.Dense(1, name="price")(joined), keras.layers.Dense(2, name="kind")(joined)]
    return chain, keras.Model([left, right], outputs)


def main(folder):
    chain, both = networks()
    chain.save(folder / "chain.keras")
    chain.save(folder / "chain.h5")
    both.save(folder / "both.keras")
    keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2)]).save(folder / "lambda.keras")
    keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2)]).save(folder / "lambda.h5")
    shutil.rmtree(folder / "doubled", ignore_errors=True)
    module = Doubled()
    tf.saved_model.save(module, folder / "doubled", {"serving_default": module.serve})
    (folder / "doubled" / "fingerprint.pb").unlink()
    if folder == HERE:
        return
    chain.export(folder / "exported", verbose=False)
    rows = np.array([[0.5, -1.0, 2.0, 3.0], [1.0, 0.0, -2.5, 0.25]], "float32")
    single = {"inputs": rows.tolist()}
    answers = {
        name: (single, chain(rows).numpy().tolist()) for name in ("chain.keras", "chain.h5", "exported")
    }
    for name in ("chain.keras", "chain.h5"):
        renamed = f"renamed-{name.rpartition('.')[2]}.bin"
        shutil.copy(folder / name, folder / renamed)
        answers[renamed] = answers[name]
    two = {"left": rows[:, :2], "right": rows[:, 1:]}
    named = {"inputs": {name: one.tolist() for name, one in two.items()}}
    found = [one.numpy().tolist() for one in both(two)]
    answers["both.keras"] = (named, dict(zip(both.output_names, found, strict=True)))
    answers["lambda.keras"] = (single, (rows * 2).tolist())
    found = module.serve(tf.constant(rows[:, :3]), tf.constant([1, 2], tf.int64))
    asked = {"inputs": {"numbers": rows[:, :3].tolist(), "count": [1, 2]}}
    answers["doubled"] = (asked, {name: one.numpy().tolist() for name, one in found.items()})
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else HERE)
