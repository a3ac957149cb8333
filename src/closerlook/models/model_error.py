"""What goes wrong with an encoder."""

from __future__ import annotations

from closerlook.errors import UserError


class ModelError(UserError):
    """An encoder that cannot be used; the message says what was looked for and what to do."""
