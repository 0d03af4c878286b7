"""No cancel, no list: what a wire module imports by name where its provider's API has neither."""

from __future__ import annotations

from muybridge.providers.provider import CancelOutcome, Order, Ticket
from muybridge.providers.wire import Answer, Call, Listed


def cancel(ticket: Ticket) -> Call | None:
    """Nothing to call."""
    del ticket
    return None


def cancelled(answer: Answer) -> CancelOutcome:
    """Never asked."""
    del answer
    return "impossible"


def find(order: Order, page: int, after: str) -> Call | None:
    """Nothing to look in: a lost submit stays unknown."""
    del order, page, after
    return None


def listed(answer: Answer) -> list[Listed]:
    """No list."""
    del answer
    return []
