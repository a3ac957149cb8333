"""The project's W&B dashboards as code: a workspace with sections, and a report with the claims table.

Needs ``pip install 'closerlook[dashboards]'`` (wandb-workspaces). Without a server the JSON that would be sent can be
written and looked at: :func:`write_dashboards`. The panels name the keys of
:mod:`closerlook.tracking.metric_names` exactly. A layer's number is part of a key, so the panels name the layers of
the depths that a project's encoders have.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from closerlook import measures as m
from closerlook.files import write_json
from closerlook.private_interfaces import dashboard_json
from closerlook.results.tables import USUAL_PROBE
from closerlook.study.verdicts import Claim
from closerlook.tracking import metric_names as names
from closerlook.tracking.runs import without_key
from closerlook.tracking.settings import has_key
from closerlook.tracking.study_run import CLAIM_CELLS, CLAIMS, CLUSTERS, JOB_TYPE, MAIN_TABLE, claims_markdown

WORKSPACE_FILE = "workspace.json"
REPORT_FILE = "report.json"
VIEW_NAME = "closerlook"
SECTIONS = ("Fine-tuning", "Label distances", "Geometry", "Probes", "Study")
GEOMETRY_MEASURES = {
    "linear_cka": "Linear CKA",
    "debiased_cka": "Debiased CKA",
    "rsa": "RSA",
    "knn_overlap": "kNN overlap",
    "procrustes_distance": "Procrustes distance",
    "fisher_ratio": "Fisher ratio",
    "cdnv": "CDNV",
    "effective_rank": "Effective rank",
    "mean_cosine": "Mean cosine",
}
"""What of ``probe=geometry`` the workspace shows; the default view of W&B has the rest."""


@dataclass(frozen=True)
class DashboardSettings:
    """Which project the dashboards are for.

    Attributes:
        project: The project.
        entity: User or team; empty for the account's default, which only a server knows.
        depths: Numbers of blocks of the encoders; the panels show their last ones and some below.
        split: The split whose label distances are shown.
    """

    project: str = "closerlook"
    entity: str = ""
    depths: tuple[int, ...] = (6,)
    split: str = "train"

    @property
    def layers(self) -> tuple[int, ...]:
        """Of one depth at most four layers, evenly spread, both ends always; of several the first and all last ones."""
        if len(self.depths) > 1:
            return tuple(sorted({1, *self.depths}))
        (n,) = self.depths
        return tuple(sorted({max(1, round(1 + (n - 1) * share)) for share in (0, 1 / 3, 2 / 3, 1)}))


class DashboardError(RuntimeError):
    """The dashboards could not be saved; the message says why and what to do."""


def workspace(settings: DashboardSettings) -> Any:
    """The workspace: one section a topic, all over epochs, comparable by task, model, seed and layer.

    Args:
        settings: Which project.

    Returns:
        A ``wandb_workspaces.workspaces.Workspace``; nothing is sent.

    Raises:
        ModuleNotFoundError: wandb-workspaces is missing; the message says how to install it.
    """
    ws, _ = _library()
    makers = (_fine_tuning, _label_distances, _geometry, _probes, _study)
    sections = [
        ws.Section(name=name, panels=make(settings), is_open=i < 2)
        for i, (name, make) in enumerate(zip(SECTIONS, makers, strict=True))
    ]
    return ws.Workspace(
        entity=settings.entity,
        project=settings.project,
        name=VIEW_NAME,
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis=names.EPOCH),
        runset_settings=ws.RunsetSettings(
            groupby=[ws.Config("run.task"), ws.Config("run.model")],
            pinned_columns=["run:displayName", "config:run.value.task", "config:run.value.model",
                            "config:run.value.seed"],
        ),
    )  # fmt: skip


def report(settings: DashboardSettings, claims: Sequence[Claim]) -> Any:
    """A report: the claims table, then the panels of the summary run and of the runs behind it.

    Args:
        settings: Which project.
        claims: The claims of a study, see :func:`closerlook.study.claims.claims_of`.

    Returns:
        A ``wandb_workspaces.reports.v2.Report``; nothing is sent.
    """
    from closerlook.study.claims import headline

    _, wr = _library()
    # A runset without entity and project takes the report's own; given them, the library asks the server at once.
    runset = wr.Runset(name="studies", query=JOB_TYPE)
    panels = [wr.WeavePanelSummaryTable(table_name=table) for table in (CLAIM_CELLS, MAIN_TABLE)]
    return wr.Report(
        project=settings.project,
        entity=settings.entity,
        title="How fine-tuning changed the space",
        description=headline(claims),
        width="fluid",
        blocks=[
            wr.H1("Do the paper's claims hold here?"),
            wr.P(headline(claims)),
            wr.MarkdownBlock(claims_markdown(claims)),
            wr.P("Paper: Zhou & Srikumar, A Closer Look at How Fine-tuning Changes BERT, ACL 2022."),
            wr.H2("Numbers behind the claims"),
            wr.PanelGrid(runsets=[runset], panels=panels),
            wr.H2("Runs over training"),
            wr.PanelGrid(runsets=[wr.Runset(name="runs")], panels=_label_distances(settings)),
        ],
    )


def write_dashboards(settings: DashboardSettings, claims: Sequence[Claim], folder: Path) -> tuple[Path, Path]:
    """Write what would be sent as ``workspace.json`` and ``report.json``; asks no server for anything.

    Returns:
        Both paths.
    """
    paths = folder / WORKSPACE_FILE, folder / REPORT_FILE
    for path, made in zip(paths, (workspace(settings), report(settings, claims)), strict=True):
        write_json(path, as_json(made))
    return paths


def save_dashboards(settings: DashboardSettings, claims: Sequence[Claim]) -> tuple[str, str]:
    """Save both on the server that wandb is logged in to, as a new view and a new report of the project.

    Returns:
        The addresses of the workspace and of the report.

    Raises:
        DashboardError: There is no API key, or the server cannot be reached or does not take them.
    """
    if not has_key():
        raise DashboardError(
            "the W&B dashboards need a server to be saved on, and no API key was found: run `wandb login` or set "
            "WANDB_API_KEY, or write their JSON with --dry-run"
        )
    _library()  # a missing package is no trouble of the server
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # as for runs: waits at exit for a server that is silent
    try:
        _require_server()
        settings = replace(settings, entity=settings.entity or _default_entity())
        page = report(settings, claims).save()  # first: it makes the project when there is none
        view = workspace(settings).save()
    except Exception as error:  # whatever wandb and its transport raise
        raise DashboardError(
            f"W&B: the dashboards of {settings.project} could not be saved ({without_key(error)}). Check the network, "
            "the key, and logger.wandb.entity and project; --dry-run writes their JSON without a server"
        ) from error
    return str(view.url), str(page.url)


def _require_server() -> None:
    """Ask the server for a sign of life: wandb itself tries again for minutes when there is none."""
    import requests
    import wandb

    requests.get(wandb.setup().settings.base_url, timeout=_TIMEOUT)


def _default_entity() -> str:
    """The entity of the account; only the server knows it."""
    import wandb

    return str(wandb.Api(timeout=_TIMEOUT).default_entity)


_TIMEOUT = 20
"""Seconds to wait for an answer of the server."""


def as_json(made: Any) -> Any:
    """The JSON of a workspace or report as the server would get it."""
    return dashboard_json(made)


def panel_keys(settings: DashboardSettings) -> tuple[str, ...]:
    """Every metric key that the workspace's line plots draw."""
    found = [panel.y for make in (_fine_tuning, _label_distances, _geometry, _probes) for panel in make(settings)
             if getattr(panel, "y", None)]  # fmt: skip
    return tuple(dict.fromkeys(str(getattr(key, "name", key)) for keys in found for key in keys))


def _library() -> tuple[Any, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # its own use of pydantic 1; nothing a caller can change
            import wandb_workspaces.reports.v2 as wr
            import wandb_workspaces.workspaces as ws
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the W&B dashboards need a package that is not installed: {error}. "
            "Install it with `pip install 'closerlook[dashboards]'`"
        ) from error
    return ws, wr


def _lines(title: str, keys: Sequence[str]) -> Any:
    _, wr = _library()
    return wr.LinePlot(title=title, x=names.EPOCH, y=list(keys), title_x="epoch", max_runs_to_show=50)


def _fine_tuning(settings: DashboardSettings) -> list[Any]:
    return [
        _lines("Loss", [names.TRAIN_LOSS, names.VAL_LOSS]),
        _lines("Accuracy", [names.VAL_ACCURACY, names.TEST_ACCURACY]),
        _lines("Macro F1", [names.VAL_MACRO_F1, names.TEST_MACRO_F1]),
    ]


def _label_distances(settings: DashboardSettings) -> list[Any]:
    _, wr = _library()
    last = sorted(set(settings.depths))
    pictures = [
        names.chart(name, split=settings.split, layer=layer)
        for layer in last
        for name in (names.DISTANCE_MAP, names.CENTROID_PATHS)
    ]
    return [
        _by_layer("Mean minimum distance", "direct", m.MEAN_MIN_DISTANCE, settings),
        _of_labels("Minimum distance of each label", m.MIN_DISTANCE, settings),
        _by_layer("Clusters", "direct", m.N_CLUSTERS, settings),
        _by_layer("Similarity to the first snapshot", "similarity", m.SIMILARITY_TO_FIRST, settings),
        _by_layer("Train-test similarity", "similarity", m.TRAIN_TEST_SIMILARITY, settings, "train-test"),
        _by_layer("How far centroids went", "centroids", m.MEAN_DISPLACEMENT, settings),
        _of_labels("How far the centroid of each label went", m.CENTROID_DISPLACEMENT, settings),
        wr.MediaBrowser(title=f"Labels at layer {_told(last)}", media_keys=pictures, num_columns=2),
    ]


def _geometry(settings: DashboardSettings) -> list[Any]:
    return [_by_layer(title, "geometry", name, settings) for name, title in GEOMETRY_MEASURES.items()]


def _probes(settings: DashboardSettings) -> list[Any]:
    plots = [
        _by_layer(f"Accuracy ({probe})", probe, m.ACCURACY, settings, "test")
        for probe in ("linear", "mlp", "mlp_grid")
    ]  # fmt: skip
    gap = _by_layer("Memorisation gap", "memorisation", m.MEMORISATION_GAP, settings, "train-test")
    return [*plots, gap]


def _study(settings: DashboardSettings) -> list[Any]:
    _, wr = _library()
    tables = [wr.WeavePanelSummaryTable(table_name=table) for table in (CLAIMS, CLAIM_CELLS, MAIN_TABLE)]
    return [*tables, wr.MediaBrowser(title="Clusters", media_keys=[CLUSTERS])]


def _by_layer(title: str, probe: str, measure: str, settings: DashboardSettings, split: str | None = None) -> Any:
    where = settings.split if split is None else split
    keys = [names.space_metric(probe, measure, split=where, layer=layer) for layer in settings.layers]
    return _lines(f"{title}, {where}", keys)


def _of_labels(title: str, measure: str, settings: DashboardSettings) -> Any:
    """A line a label: their names are the runs' own, so the plot takes every key of the last layers."""
    _, wr = _library()
    keys = [
        names.label_metric(USUAL_PROBE[measure], measure, "", split=settings.split, layer=layer).removesuffix("(empty)")
        for layer in sorted(set(settings.depths))
    ]
    pattern = f"({'|'.join(re.escape(key) for key in keys)}).+" if len(keys) > 1 else f"{re.escape(keys[0])}.+"
    full = f"{title}, {settings.split}, layer {_told(sorted(set(settings.depths)))}"
    return wr.LinePlot(title=full, x=names.EPOCH, metric_regex=pattern, title_x="epoch", max_runs_to_show=10)


def _told(layers: Sequence[int]) -> str:
    return ", ".join(map(str, layers))
