"""Objects from the nodes of a configuration that name a class (``_target_``); a wrong setting is one clear error."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from closerlook.results.run import RunError


def make(node: Mapping[str, Any], name: str, **more: Any) -> Any:
    """Make the object that a node describes.

    Args:
        node: ``_target_`` and its settings, resolved.
        name: Where the node stands on the command line, e.g. ``trainer``.
        **more: Arguments that are no settings.

    Raises:
        RunError: There is no such class, it has no such setting, or it refuses a value.
    """
    check_names(node, name)
    try:
        made = instantiate(dict(node), _convert_="object", _partial_=True)
        return made if node.get("_partial_") else made(**more)
    except (InstantiationException, ValueError, TypeError, ImportError, MisconfigurationException) as error:
        cause = error.__cause__ or error
        raise RunError(f"{name} cannot be set up: {' '.join(str(cause).split())[:500]}") from error


def check_names(node: Mapping[str, Any], name: str) -> None:
    """Refuse settings that the class of a node does not have.

    Raises:
        RunError: There is no such class or setting.
    """
    target = node.get("_target_")
    try:
        parameters = inspect.signature(get_object(str(target))).parameters
    except (ImportError, AttributeError, ValueError, TypeError, InstantiationException) as error:
        raise RunError(f"{name}._target_={target}: no such class, expected one that can be imported") from error
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for key in node:
        if not key.startswith("_") and key not in parameters:
            near = difflib.get_close_matches(key, parameters, n=1)
            hint = f"did you mean {name}.{near[0]}?" if near else f"expected one of {', '.join(parameters)}"
            raise RunError(f"{name}.{key}: {target} has no such setting; {hint}")
