"""Why a server ended is told by the error that it began with, wherever that stands in what it wrote."""

from __future__ import annotations

from lading.core.words import last_words

CHAIN = """Server Settings
2026-11-26 02:14:52,162 E [22] azmlinfsrv - User's init function failed
2026-11-26 02:14:52,163 E [22] azmlinfsrv - Encountered Exception Traceback (most recent call last):
  File "/opt/lading/env/lib/user_script.py", line 119, in invoke_init
    self._user_init()
  File "/var/azureml-app/src/score.py", line 2, in init
    raise RuntimeError("my init is broken")
RuntimeError: my init is broken

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/opt/lading/env/lib/aml_blueprint.py", line 109, in setup
    self.user_script.invoke_init()
lading.UserScriptException: Caught an unhandled exception from the user script

2026-11-26 02:14:52,702 E [2] gunicorn.error - Reason: Worker failed to boot.
Server Routes
Liveness Probe: GET   127.0.0.1:5001/
"""
OTHER = """Traceback (most recent call last):
  File "/opt/a.py", line 1, in <module>
    import torch
ModuleNotFoundError: No module named 'torch'
torch is not there, which does not matter
"""


def test_the_error_that_began_a_chain_is_told_with_its_place():
    assert last_words(CHAIN) == "RuntimeError: my init is broken (/var/azureml-app/src/score.py, line 2)"


def test_an_earlier_traceback_that_was_survived_is_not_told():
    assert last_words(OTHER + CHAIN) == last_words(CHAIN)


def test_an_exit_is_told_as_any_other():
    assert last_words(CHAIN.replace("RuntimeError: my init is broken", "SystemExit: 7")).startswith(
        "SystemExit: 7 ("
    )


def test_without_a_traceback_the_last_lines_are_told():
    assert last_words("a\nb\n") == "a | b"
    assert last_words("") == "nothing"
    assert last_words("Traceback (most recent call last):") == "Traceback (most recent call last):"
