"""Fixtures that several test files share."""

from api_server import api_server

__all__ = ["api_server"]
