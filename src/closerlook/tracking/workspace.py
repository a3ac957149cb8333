"""The project's W&B dashboards as code: a workspace with sections, and a report with the claims table.

Needs ``pip install 'closerlook[dashboards]'`` (wandb-workspaces). Without a server the JSON that would be sent can be
written and looked at: :func:`write_dashboards`. The panels name the keys of
:mod:`closerlook.tracking.metric_names` exactly. A layer's number is part of a key, so dashboards fit one depth.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from closerlook.results import measures as m
from closerlook.results.files import write_json
from closerlook.study.verdicts import Claim
from closerlook.tracking import metric_names as names
from closerlook.tracking.study_run import CLAIM_CELLS, CLAIMS, CLUSTERS, JOB_TYPE, MAIN_TABLE, claims_markdown

WORKSPACE_FILE = "workspace.json"
REPORT_FILE = "report.json"
VIEW_NAME = "closerlook"
SECTIONS = ("Fine-tuning", "Label distances", "Geometry", "Probes", "Study")
GEOMETRY_MEASURES = (
    "linear_cka",
    "debiased_cka",
    "rsa",
    "knn_overlap",
    "procrustes_distance",
    "fisher_ratio",
    "cdnv",
    "effective_rank",
    "mean_cosine",
)
"""What of ``probe=geometry`` the workspace shows; the default view of W&B has the rest."""


@dataclass(frozen=True)
class DashboardSettings:
    """Which project the dashboards are for.

    Attributes:
        project: The project.
        entity: User or team; empty for the account's default, which only a server knows.
        n_layers: Number of blocks of the encoder; the panels show the last one and some below it.
        split: The split whose label distances are shown.
    """

    project: str = "closerlook"
    entity: str = ""
    n_layers: int = 6
    split: str = "train"

    @property
    def layers(self) -> tuple[int, ...]:
        """At most four layers, evenly spread, the first block and the last one always."""
        n = self.n_layers
        return tuple(sorted({max(1, round(1 + (n - 1) * share)) for share in (0, 1 / 3, 2 / 3, 1)}))


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
    """Save both on the server that wandb is logged in to.

    Returns:
        The addresses of the workspace and of the report.
    """
    made = workspace(settings).save(), report(settings, claims).save()
    return str(made[0].url), str(made[1].url)


def as_json(made: Any) -> Any:
    """The JSON of a workspace or report as the server would get it."""
    return json.loads(made._to_model().model_dump_json(by_alias=True))


def panel_keys(settings: DashboardSettings) -> tuple[str, ...]:
    """Every metric key that the workspace's line plots draw."""
    found = [panel.y for make in (_fine_tuning, _label_distances, _geometry, _probes) for panel in make(settings)
             if hasattr(panel, "y")]  # fmt: skip
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
    last = settings.n_layers
    charts = [names.chart(name, split=settings.split, layer=last)
              for name in (names.MIN_DISTANCE_LINES, names.DISTANCE_MAP, names.CENTROID_PATHS)]  # fmt: skip
    return [
        _by_layer("Mean minimum distance", "direct", m.MEAN_MIN_DISTANCE, settings),
        _by_layer("Clusters", "direct", m.N_CLUSTERS, settings),
        _by_layer("Similarity to the first snapshot", "similarity", m.SIMILARITY_TO_FIRST, settings),
        _by_layer("Train-test similarity", "similarity", m.TRAIN_TEST_SIMILARITY, settings, "train-test"),
        _by_layer("How far centroids went", "centroids", m.MEAN_DISPLACEMENT, settings),
        wr.MediaBrowser(title=f"Labels at layer {last}", media_keys=charts, num_columns=2),
    ]


def _geometry(settings: DashboardSettings) -> list[Any]:
    return [_by_layer(name.replace("_", " ").capitalize(), "geometry", name, settings) for name in GEOMETRY_MEASURES]


def _probes(settings: DashboardSettings) -> list[Any]:
    plots = [
        _by_layer(f"Accuracy ({probe})", probe, m.ACCURACY, settings, "test")
        for probe in ("linear", "mlp", "mlp_grid")
    ]  # fmt: skip
    gap = _by_layer("Memorisation gap", "memorisation", "memorisation_gap", settings, "train-test")
    return [*plots, gap]


def _study(settings: DashboardSettings) -> list[Any]:
    _, wr = _library()
    tables = [wr.WeavePanelSummaryTable(table_name=table) for table in (CLAIMS, CLAIM_CELLS, MAIN_TABLE)]
    return [*tables, wr.MediaBrowser(title="Clusters", media_keys=[CLUSTERS])]


def _by_layer(title: str, probe: str, measure: str, settings: DashboardSettings, split: str | None = None) -> Any:
    where = settings.split if split is None else split
    keys = [names.space_metric(probe, measure, split=where, layer=layer) for layer in settings.layers]
    return _lines(f"{title}, {where}", keys)
