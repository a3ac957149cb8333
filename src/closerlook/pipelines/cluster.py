"""Spread probes over a Dask or Ray cluster: the joblib backend that a name stands for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import joblib

from closerlook.results.run import RunError


@contextmanager
def spread_over(cluster: str | None) -> Iterator[None]:
    """Parallel work inside the block goes to a cluster, whose machines must see the run's files at the same path.

    Args:
        cluster: ``dask`` or ``ray`` start one on this machine (``ray`` joins the one that ``RAY_ADDRESS`` names);
            ``dask@tcp://host:8786`` and ``ray@host:6379`` (or ``ray@auto``) use a running one. None changes nothing.

    Raises:
        RunError: The name is unknown, the package is missing, or the cluster does not answer.
    """
    if cluster is None:
        yield
        return
    name, _, address = cluster.partition("@")
    start = {"dask": _dask, "ray": _ray}.get(name)
    if start is None:
        raise RunError(f"cluster={cluster}: expected dask, ray, dask@tcp://<host>:<port> or ray@<host>:<port>")
    try:
        close = start(address or None)
    except ImportError as error:
        raise RunError(
            f"cluster={cluster} needs a package that is missing ({error}): pip install 'closerlook[{name}]'"
        ) from error
    except (OSError, RuntimeError, ValueError) as error:  # what the clients raise when nobody answers
        raise RunError(
            f"cluster={cluster} does not answer ({type(error).__name__}: {error}). Start its scheduler, or leave "
            "cluster=null to use the cores of this machine"
        ) from error
    try:
        with joblib.parallel_config(backend=name):
            yield
    finally:
        close()


def _dask(address: str | None) -> Any:
    """Connect to a scheduler, or start one with one thread a worker; returns what closes it."""
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.WARNING)
    if address is not None:
        return Client(address, timeout="10s").close
    local = LocalCluster(threads_per_worker=1, dashboard_address=None)
    client = Client(local)

    def close() -> None:
        client.close()
        local.close()

    return close


def _ray(address: str | None) -> Any:
    """Connect to a cluster, or start one on this machine; returns what closes it."""
    import ray
    from ray.util.joblib import register_ray

    register_ray()
    ray.init(address=address, log_to_driver=False, configure_logging=False)
    return ray.shutdown
