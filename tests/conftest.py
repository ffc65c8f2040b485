"""Settings that every test shares."""

import signal

from hypothesis import HealthCheck, settings

pytest_plugins = ["baking", "engines", "meddler", "running", "shop"]

# a shell starts its background jobs deaf to interrupts, and whatever they start inherits that
signal.signal(signal.SIGINT, signal.default_int_handler)

# machines differ in speed: a law is about values, never about time
settings.register_profile(
    "lading", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lading")
