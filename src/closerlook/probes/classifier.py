"""Classifier probes on frozen vectors: trained on train, measured on test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from scipy.stats import t as student_t

from closerlook import measures as m
from closerlook.geometry.confidence import Interval, wilson_interval
from closerlook.probes.space_probe import Finding, Scope, TrainTestProbe, Where, where
from closerlook.probing.classifier_probe import INVERSE_WEIGHTS, N_FOLDS, LinearSettings, linear_probe
from closerlook.probing.classifier_result import ClassifierResult
from closerlook.probing.control_task import TypedExamples, selectivity
from closerlook.probing.mlp_settings import Halving, MLPTraining
from closerlook.probing.online_code import online_code_length
from closerlook.representations.reader import SnapshotReader
from closerlook.results.hits import encode_hits
from closerlook.results.rows import ResultRow
from closerlook.results.store import CellKey

if TYPE_CHECKING:
    from closerlook.probing.mlp_result import MLPResult


class TrainTestData(NamedTuple):
    """Vectors and labels of both splits, in the order in which the probes of ``closerlook.probing`` take them.

    Attributes:
        X: (n_train, n_features) training vectors.
        y: (n_train,) their labels.
        X_test: (n_test, n_features) test vectors.
        y_test: (n_test,) their labels.
    """

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


class Score(NamedTuple):
    """How good a classifier is on test.

    Attributes:
        accuracy: Share of right answers.
        macro_f1: F1 averaged over labels.
        note: How it was made.
        interval: The accuracy's 95 % interval.
    """

    accuracy: float
    macro_f1: float
    note: str
    interval: Interval


@dataclass(frozen=True)
class LinearClassifierAnalysis(TrainTestProbe):
    """Multinomial logistic regression; one cell per snapshot and layer, measured on the test split.

    Attributes:
        C: Inverse L2 weight; None = chosen from ``Cs`` by cross-validation on the training split.
        Cs: What to choose from.
        n_folds: Folds of the cross-validation.
        standardize: Centre and scale by the training split's statistics.
        max_iter: L-BFGS iterations.
    """

    C: float | None = None
    Cs: tuple[float, ...] = INVERSE_WEIGHTS
    n_folds: int = N_FOLDS
    standardize: bool = True
    max_iter: int = 1000
    name: str = "linear"
    version: ClassVar[int] = 3

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """Accuracy, macro-F1 and confusion counts of one layer of one snapshot."""
        data, at = read_train_test(reader, key), where(reader, key)
        settings = LinearSettings(self.C, self.Cs, self.n_folds, self.standardize, self.max_iter)
        found = linear_probe(*data, settings)
        interval = wilson_interval(found.accuracy * len(data.y_test), len(data.y_test))
        score = Score(found.accuracy, found.macro_f1, found.setting, interval)
        hits = hits_row(at, m.TEST_HITS, found.correct, example_ids(reader, "test"))
        return [*_score_rows(at, score, found), hits, *_confusion_rows(at, found)]


@dataclass(frozen=True)
class MLPAnalysis(TrainTestProbe):
    """The paper's two-layer perceptron: one setting, or the best of its grid, from several initialisations.

    Attributes:
        grid: Select size and L2 weight on held-out training data; otherwise ``hidden`` and ``alpha`` are used.
        hidden: Units of the two layers, when there is no grid.
        alpha: L2 weight, when there is no grid.
        units: Sizes tried for each layer.
        alphas: L2 weights tried.
        heldout_fraction: Share of the training data that the selection is made on.
        n_seeds: Initialisations of the final fits.
        max_iter: Most epochs of a fit.
        halving: End poor cells of the grid early; a deviation from the paper that buys time.
        halving_factor: One cell in so many goes on at each rung.
        halving_epochs: Epochs of the first rung.
        halving_min_cells: Cells that are always trained to their end.
        device: torch device.
        random_state: Seed.
    """

    grid: bool = False
    hidden: tuple[int, int] = (128, 128)
    alpha: float = 1e-4
    units: tuple[int, ...] = (32, 64, 128, 256)
    alphas: tuple[float, ...] = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    heldout_fraction: float = 0.2
    n_seeds: int = 5
    max_iter: int = 1000
    halving: bool = False
    halving_factor: int = 4
    halving_epochs: int = 5
    halving_min_cells: int = 8
    device: str = "cpu"
    random_state: int = 0
    name: str = "mlp"
    version: ClassVar[int] = 3

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """Mean accuracy over the initialisations, with its standard deviation."""
        data, at = read_train_test(reader, key), where(reader, key)
        best, note = self._search(data) if self.grid else self._fit(data)
        spread = None if math.isnan(best.accuracy_std) else best.accuracy_std
        hits = np.mean([run.correct for run in best.runs], axis=0)
        why = "over initialisations" if spread is not None else "one initialisation has no spread"
        return [
            *_score_rows(at, _score(best, note), best.runs[0]),
            ResultRow(*at, m.ACCURACY_STD, value=spread, n=self.n_seeds, note=why),
            hits_row(at, m.TEST_HITS, hits, example_ids(reader, "test"), n_fits=len(best.runs)),
        ]

    def _fit(self, data: TrainTestData) -> tuple[MLPResult, str]:
        from closerlook.probing.mlp_grid import mlp_probe  # with torch, which takes seconds to load

        best = mlp_probe(
            *data,
            hidden=(self.hidden[0], self.hidden[1]),
            alpha=self.alpha,
            n_seeds=self.n_seeds,
            random_state=self.random_state,
            training=MLPTraining(max_iter=self.max_iter, device=self.device),
        )
        return best, f"hidden {best.hidden}, alpha {best.alpha:g}"

    def _search(self, data: TrainTestData) -> tuple[MLPResult, str]:
        from closerlook.probing.mlp_grid import mlp_grid  # with torch, which takes seconds to load

        found = mlp_grid(
            *data,
            units=self.units,
            alphas=self.alphas,
            heldout_fraction=self.heldout_fraction,
            n_seeds=self.n_seeds,
            random_state=self.random_state,
            halving=self._halving(),
            training=MLPTraining(max_iter=self.max_iter, device=self.device),
        )
        n_cells = f"{len(found.cells)} cells ({found.search} search)"
        note = f"hidden {found.best.hidden}, alpha {found.best.alpha:g}, best of {n_cells} on held-out training data"
        return found.best, note if not found.n_not_converged else f"{note}; {found.n_not_converged} cells not converged"

    def _halving(self) -> Halving | None:
        return Halving(self.halving_factor, self.halving_epochs, self.halving_min_cells) if self.halving else None


@dataclass(frozen=True)
class SelectivityAnalysis(TrainTestProbe):
    """Accuracy on the task less accuracy on control tasks with random labels by word type (Hewitt & Liang 2019).

    Attributes:
        n_controls: Control tasks.
        C: Inverse L2 weight of the linear probe; None = chosen by cross-validation, for each task anew.
        random_state: Seed of the control labels.
    """

    n_controls: int = 3
    C: float | None = None
    random_state: int = 0
    name: str = "selectivity"
    version: ClassVar[int] = 3

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """Selectivity of one layer; the control labels go by the lower-cased form of an example."""
        data = read_train_test(reader, key)
        forms, test_forms = (reader.examples(split).form.str.lower().tolist() for split in ("train", "test"))
        found = selectivity(
            TypedExamples(data.X, data.y, forms),
            TypedExamples(data.X_test, data.y_test, test_forms),
            n_controls=self.n_controls,
            random_state=self.random_state,
            settings=LinearSettings(C=self.C),
        )
        note = f"{found.seen_type_share:.0%} of the test types occur in training; control: mean control accuracy"
        return [
            ResultRow(
                *where(reader, key),
                m.SELECTIVITY,
                value=found.selectivity,
                n=self.n_controls,
                control=found.control_accuracy,
                note=note,
            )
        ]


@dataclass(frozen=True)
class OnlineCodeAnalysis(TrainTestProbe):
    """Bits needed to send the labels given the vectors (Voita & Titov 2020), with a linear probe.

    Attributes:
        n_shuffles: Orders of the data.
        random_state: Seed of the orders.
    """

    n_shuffles: int = 3
    random_state: int = 0
    name: str = "online_code"
    version: ClassVar[int] = 2

    def compute(self, reader: SnapshotReader, key: CellKey, scope: Scope) -> Sequence[Finding]:
        """Code length per example and compression of one layer, on the training split."""
        data, at = read_train_test(reader, key), where(reader, key).of("train")
        found = online_code_length(data.X, data.y, n_shuffles=self.n_shuffles, random_state=self.random_state)
        n, uniform = len(data.y), found.uniform_bits / len(data.y)
        missing = f"; {found.n_not_converged} fits not converged" if found.n_not_converged else ""
        note = f"control: uniform code{missing}"
        return [
            ResultRow(*at, m.CODE_LENGTH, value=found.bits_per_example, n=n, control=uniform, note=note),
            ResultRow(*at, m.COMPRESSION, value=found.compression, n=self.n_shuffles, control=1.0),
        ]


def read_train_test(reader: SnapshotReader, key: CellKey) -> TrainTestData:
    """Vectors and labels of both splits at a cell's step and layer."""
    at = where(reader, key).place
    X, X_test = (reader.vectors(at.step or 0, split, at.layer) for split in ("train", "test"))
    return TrainTestData(X, reader.labels("train"), X_test, reader.labels("test"))


def example_ids(reader: SnapshotReader, split: str) -> list[str]:
    """The ids of a split's examples, in the order of the vectors."""
    return reader.examples(split)["example_id"].astype(str).tolist()


def hits_row(at: Where, measure: str, shares: np.ndarray, ids: Sequence[str], *, n_fits: int = 1) -> ResultRow:
    """Which examples are right, in the row's note: for comparisons that pair examples."""
    return ResultRow(*at, measure, n=len(shares), note=encode_hits(shares, ids, n_fits=n_fits))


def _score_rows(at: Where, score: Score, found: ClassifierResult) -> list[ResultRow]:
    """Accuracy with its 95 % interval and the majority baseline as its control, and macro-F1."""
    n, majority = int(found.confusion.sum()), found.majority_accuracy
    low, high = score.interval.low, score.interval.high
    unseen = f"{found.n_unseen} test examples have labels that training never shows" if found.n_unseen else ""
    note = "; ".join(filter(None, (score.note, unseen)))
    return [
        ResultRow(*at, m.ACCURACY, value=score.accuracy, low=low, high=high, n=n, control=majority, note=note),
        ResultRow(*at, m.MACRO_F1, value=score.macro_f1, n=n, note=note),
        ResultRow(*at, m.MAJORITY_ACCURACY, value=majority, n=n),
    ]


def _confusion_rows(at: Where, found: ClassifierResult) -> list[ResultRow]:
    """One row per pair of true and predicted label that occurs; rows that are missing are zero."""
    true, predicted = np.nonzero(found.confusion)
    return [
        ResultRow(*at, m.CONFUSION, str(found.labels[i]), str(found.labels[j]), float(found.confusion[i, j]))
        for i, j in zip(true.tolist(), predicted.tolist(), strict=True)
    ]


def _score(best: MLPResult, note: str) -> Score:
    """Student's t interval over the initialisations, whose chance it holds; for one of them, that of a share."""
    n_test, n_runs = int(best.runs[0].confusion.sum()), len(best.runs)
    if n_runs == 1:
        return Score(best.accuracy, best.macro_f1, note, wilson_interval(best.accuracy * n_test, n_test))
    half = float(student_t.ppf(0.975, n_runs - 1)) * best.accuracy_std / math.sqrt(n_runs)
    note = f"{note}; interval over {n_runs} initialisations"
    return Score(best.accuracy, best.macro_f1, note, Interval(best.accuracy - half, best.accuracy + half))
