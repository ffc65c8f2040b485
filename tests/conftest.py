"""Settings that every test shares."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["baking", "engines", "meddler", "running"]

# machines differ in speed: a law is about values, never about time
settings.register_profile(
    "lading", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lading")
