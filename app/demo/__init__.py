"""The demo service: two greetings, one SSM parameter, health and metrics."""

__version__ = "1.0.0"
