"""The one base class of errors that the user can put right: their message says what, got, expected and what to do."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake in what was asked or given; the commands print its message alone, without a traceback."""
