"""The project's W&B dashboards as code: a workspace with sections, and a report with the claims table.

Needs ``pip install 'closerlook[dashboards]'`` (wandb-workspaces). Without a server the JSON that would be sent can be
written and looked at: :func:`write_dashboards`. The panels name the keys of
:mod:`closerlook.tracking.metric_names` exactly. A layer's number is part of a key, so the panels name the layers of
the depths that a project's encoders have.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests
import wandb

from closerlook import measures as m
from closerlook.figures.theme import capital, name_of
from closerlook.files import write_json
from closerlook.private_interfaces import dashboard_json
from closerlook.results.tables import SUMMARY_MEASURES, USUAL_PROBE, split_for
from closerlook.study.claims import headline
from closerlook.study.verdicts import Claim
from closerlook.tracking import metric_names as names
from closerlook.tracking.study_run import CLAIMS, CLUSTERS, FINDINGS, JOB_TYPE, MAIN_TABLE, claims_markdown
from closerlook.tracking.wandb_run import without_key
from closerlook.tracking.wandb_settings import has_key

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
"""What of ``probe=geometry`` the workspace shows; the runs' tables have the rest."""


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
    runs = ws.RunsetSettings(
        groupby=[ws.Config("run.task"), ws.Config("run.model")],
        pinned_columns=["run:displayName", *(f"config:run.value.{name}" for name in ("task", "model", "seed"))],
    )
    return ws.Workspace(
        entity=settings.entity,
        project=settings.project,
        name=VIEW_NAME,
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis=names.EPOCH),
        runset_settings=runs,
    )


def report(settings: DashboardSettings, claims: Sequence[Claim]) -> Any:
    """A report: the claims table, then the panels of the summary run and of the runs behind it.

    Args:
        settings: Which project.
        claims: The claims of a study, see :func:`closerlook.study.claims.claims_of`.

    Returns:
        A ``wandb_workspaces.reports.v2.Report``; nothing is sent.
    """
    _, wr = _library()
    # A runset without entity and project takes the report's own; given them, the library asks the server at once.
    runset = wr.Runset(name="studies", query=JOB_TYPE)
    panels = [wr.WeavePanelSummaryTable(table_name=table) for table in (FINDINGS, MAIN_TABLE)]
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
        write_json(path, dashboard_json(made))
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
    requests.get(wandb.setup().settings.base_url, timeout=_TIMEOUT)


def _default_entity() -> str:
    """The entity of the account; only the server knows it."""
    return str(wandb.Api(timeout=_TIMEOUT).default_entity)


_TIMEOUT = 20
"""Seconds to wait for an answer of the server."""


def _library() -> tuple[Any, Any]:
    try:
        with warnings.catch_warnings():
            # Its own use of pydantic 1; nothing a caller can change.
            warnings.simplefilter("ignore", DeprecationWarning)
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
        *(_against_layers(measure, settings) for measure in SUMMARY_MEASURES),
        _by_layer("direct", m.MEAN_MIN_DISTANCE, settings),
        _of_labels(m.MIN_DISTANCE, settings),
        _by_layer("direct", m.N_CLUSTERS, settings),
        _by_layer("similarity", m.SIMILARITY_TO_FIRST, settings),
        _by_layer("similarity", m.TRAIN_TEST_SIMILARITY, settings),
        _by_layer("centroids", m.MEAN_DISPLACEMENT, settings),
        _of_labels(m.CENTROID_DISPLACEMENT, settings),
        wr.MediaBrowser(title=f"Labels at layer {_listed(last)}", media_keys=pictures, num_columns=2),
        _warnings((*SUMMARY_MEASURES, m.MIN_DISTANCE)),
    ]


def _against_layers(measure: str, settings: DashboardSettings) -> Any:
    """The chart of a measure against the layer, one line a snapshot, that every probed run logs."""
    _, wr = _library()
    split = split_for(measure, settings.split)
    return wr.CustomChart(
        query={"summaryTable": {"tableKey": names.chart_table(names.layer_chart(measure, split=split))}},
        chart_name="wandb/lineseries/v0",
        chart_fields={"step": "step", "lineKey": "lineKey", "lineVal": "lineVal"},
        chart_strings={"title": f"{capital(name_of(measure))} by layer, {split}", "xname": "layer"},
    )


def _warnings(measures: Sequence[str]) -> Any:
    """What the registry says about measures, beside their plots."""
    _, wr = _library()
    known = [m.MEASURES[name] for name in measures if name in m.MEASURES]
    lines = [f"- **{one.title}**: {one.question} *When not to trust it:* {one.distrust}." for one in known]
    return wr.MarkdownPanel(markdown="\n".join(lines))


def _geometry(settings: DashboardSettings) -> list[Any]:
    plots = [_by_layer("geometry", measure, settings) for measure in GEOMETRY_MEASURES]
    return [*plots, _warnings(GEOMETRY_MEASURES)]


def _probes(settings: DashboardSettings) -> list[Any]:
    plots = [_by_layer(probe, m.ACCURACY, settings) for probe in ("linear", "mlp", "mlp_grid")]
    gap = _by_layer("memorisation", m.MEMORISATION_GAP, settings)
    return [*plots, gap, _warnings((m.ACCURACY, m.MEMORISATION_GAP))]


def _study(settings: DashboardSettings) -> list[Any]:
    _, wr = _library()
    tables = [wr.WeavePanelSummaryTable(table_name=table) for table in (CLAIMS, FINDINGS, MAIN_TABLE)]
    return [*tables, wr.MediaBrowser(title="Clusters", media_keys=[CLUSTERS])]


def _by_layer(probe: str, measure: str, settings: DashboardSettings) -> Any:
    split = split_for(measure, settings.split)
    keys = [names.space_metric(probe, measure, split=split, layer=layer) for layer in settings.layers]
    by = f" ({probe})" if measure == m.ACCURACY else ""
    return _lines(f"{capital(name_of(measure))}{by}, {split}", keys)


def _of_labels(measure: str, settings: DashboardSettings) -> Any:
    """A line a label: their names are the runs' own, so the plot takes every key of the last layers."""
    _, wr = _library()
    keys = [
        names.label_metric(USUAL_PROBE[measure], measure, "", split=settings.split, layer=layer).removesuffix("(empty)")
        for layer in sorted(set(settings.depths))
    ]
    pattern = f"({'|'.join(re.escape(key) for key in keys)}).+" if len(keys) > 1 else f"{re.escape(keys[0])}.+"
    full = f"{capital(name_of(measure))} of each label, {settings.split}, layer {_listed(sorted(set(settings.depths)))}"
    return wr.LinePlot(title=full, x=names.EPOCH, metric_regex=pattern, title_x="epoch", max_runs_to_show=10)


def _listed(layers: Sequence[int]) -> str:
    return ", ".join(map(str, layers))
