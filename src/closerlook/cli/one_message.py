"""One clear message for a mistake that the user can mend; a traceback for everything else."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from closerlook.cli.console import printable
from closerlook.errors import UserError
from closerlook.redaction import redact

_USER_ERROR = 1


@contextmanager
def one_clear_message(*, alone: bool = False, kept: str = "from the last checkpoint") -> Iterator[None]:
    """Print a user error as one message and exit with 1; in a sweep, let it fail its own job only.

    A signal that asks to stop ends with 128 + its number: 130 for Ctrl-C, 143 for SIGTERM.

    Args:
        alone: This process runs one job only, also when it is a job of a sweep.
        kept: From where a stopped command goes on when it is run again.
    """
    from closerlook.interruption import Interrupted

    try:
        yield
    except Interrupted as stop:
        name = signal.Signals(stop.signum).name
        message = f"stopped by {name}. Run the same command again to go on {kept}."
        print(f"\n{message}", file=sys.stderr)
        if "SUBMITIT_EXECUTOR" in os.environ and not alone:  # its launcher waits for an answer, not for an exit status
            from closerlook.results.run import RunError

            raise RunError(message) from None
        raise SystemExit(128 + stop.signum) from None
    except KeyboardInterrupt:
        print(f"\nstopped. Run the same command again to go on {kept}.", file=sys.stderr)
        raise SystemExit(130) from None
    except UserError as error:
        if (in_multirun() and not alone) or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(f"\nerror: {printable(redact(str(error)))}", file=sys.stderr)
        raise SystemExit(_USER_ERROR) from None


@contextmanager
def nothing_after() -> Iterator[None]:
    """End the command on any error, where Hydra would warn of it and go on: in its callbacks."""
    try:
        yield
    except UserError:
        raise
    except Exception:
        traceback.print_exc()
        raise SystemExit(_USER_ERROR) from None


def announce_loading(arguments: Sequence[str]) -> None:
    """Say what the seconds before the first result are for, unless the command line only asks to be shown something."""
    shows = any(argument.startswith("-") and argument not in ("-m", "--multirun") for argument in arguments)
    if not shows and "torch" not in sys.modules and int(os.environ.get("LOCAL_RANK") or 0) == 0:
        print("loading libraries ...", file=sys.stderr, flush=True)


def in_multirun() -> bool:
    """Whether this job is one of a sweep."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run a command without the chatter of libraries that says nothing to its user."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        import logging
        import warnings

        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
        for message in _HARMLESS:
            warnings.filterwarnings("ignore", message=message)
        return function(*args, **kwargs)

    return wrapper


_CHATTY = ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda", "httpx", "torch.distributed")

_HARMLESS = (
    r".*does not have many workers.*",  # batches are made faster than they are used
    r".*exists and is not empty.*",  # the run directory is ours
    r".*LeafSpec.*is deprecated.*",  # Lightning 2.6 with torch 2.13; nothing a user can do
    r".*GPU available but not used.*",
    r"The `srun` command is available.*",  # on a login node, say
    r"A worker stopped while some jobs were given.*",  # joblib starts another one
)
