"""A model of training code goes in, a folder that is an MLflow model, and lading's own, comes out."""

from lading.saving.flavour import Flavour, Saving, Written
from lading.saving.flavours import OBJECT, of

__all__ = ["OBJECT", "Flavour", "Saving", "Written", "of"]
