"""Write the samples of Keras 2: `python make_keras2.py`, where tensorflow-cpu 2.15 is installed."""

from pathlib import Path

import keras

HERE = Path(__file__).parent

keras.utils.set_random_seed(0)
model = keras.Sequential([keras.layers.Dense(3, "softmax", input_shape=(4,))])
model.save(HERE / "keras2.h5")
model.save(HERE / "keras2.keras")
