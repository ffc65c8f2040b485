"""Why a worker does not answer: what is the client's to mend."""

from __future__ import annotations


class RefusedError(Exception):
    """The model says that this input is wrong."""

    kind = "refused"


class UnsupportedError(RefusedError):
    """Nothing in the model's environment reads an input of this media type."""

    kind = "unsupported"


class TooLargeError(RefusedError):
    """A file holds more than is allowed, which is known before it is read."""

    kind = "too_large"
