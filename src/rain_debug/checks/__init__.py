"""A fix to take home: scripts that change the training data, and checks that keep the error from coming back."""

from rain_debug.checks.ingestion import Check
from rain_debug.checks.script import Script

__all__ = ["Check", "Script"]
