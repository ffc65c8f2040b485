"""FastAPI as most people would write it."""

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

from model import load

app = FastAPI()
predict = load()


class Rows(BaseModel):
    """The body."""

    instances: list[list[float]]


@app.get("/ready")
def ready() -> dict[str, bool]:
    """Say that the model is there."""
    return {"ready": True}


@app.post("/predict")
def answer(rows: Rows) -> dict[str, list[float]]:
    """Predict."""
    return {"predictions": predict(np.array(rows.instances)).tolist()}
