"""Fixtures that several test files share, and how property tests run."""

from api_server import api_server
from hypothesis import settings

__all__ = ["api_server"]

# A busy machine is no failure: speed is measured in bench/.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
