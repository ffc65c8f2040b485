"""Loads the model and predicts; standard library and whatever the model itself needs, Python 3.8 or later."""
