"""Metric keys are an interface: their spelling is fixed here."""

from __future__ import annotations

import re

from closerlook import measures as m
from closerlook.tracking import metric_names as names


def test_spelling():
    where = {"split": "train", "layer": 6}
    assert names.space_metric("direct", m.MEAN_MIN_DISTANCE, **where) == "probe/train/layer_06/mean_min_distance"
    assert names.label_metric("direct", m.MIN_DISTANCE, "NOUN", **where) == "label/train/layer_06/min_distance/NOUN"
    assert names.chart(names.DISTANCE_TABLE, **where) == "charts/train/layer_06/label_distances"
    assert names.summary_metric("before", m.N_CLUSTERS, **where) == "before/train/layer_06/n_clusters"


def test_the_same_measure_by_another_probe_has_its_own_section():
    keys = [names.space_metric(probe, m.ACCURACY, split="test", layer=1) for probe in ("linear", "mlp")]
    assert keys == ["probe/test/layer_01/accuracy", "mlp/test/layer_01/accuracy"]


def test_no_two_series_of_a_run_share_a_key(results):
    table = results.table[results.table["other"] == ""]
    series = table[["probe", "measure", "split", "layer", "label"]].drop_duplicates()
    keys = {
        names.label_metric(r.probe, r.measure, r.label, split=r.split, layer=r.layer)
        if r.label
        else names.space_metric(r.probe, r.measure, split=r.split, layer=r.layer)
        for r in series.itertuples()
    }
    assert len(keys) == len(series)


def test_labels_cannot_break_a_key():
    labels = ["a/b", "a", "b", "*", "%", "a\\b", "a%2Fb", "x\ny", ""]
    keys = [names.label_metric("direct", m.MIN_DISTANCE, label, split="train", layer=0) for label in labels]
    assert len(set(keys)) == len(keys)
    assert all(key.count("/") == 4 for key in keys)
    assert not any(re.search(r"[*\n\\]", key) for key in keys)


def test_keys_sort_by_layer():
    keys = [names.place("train", layer) for layer in (0, 2, 10, 12)]
    assert keys == sorted(keys)
