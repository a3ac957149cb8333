"""The released code's folders: read, answered, written."""

import numpy as np
import pytest

from closerlook.probing import DirectProbe, read_released, released_embeddings, write_released


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    labels = ["p.Time"] * 8 + ["p.Goal"] * 7 + ["p.Rare"] * 2
    for split, y in (("train", labels), ("test", labels[5:12])):
        X = np.round(rng.normal(size=(len(y), 6)), 6)
        for name in (f"layers/{split}/2.txt", f"layers/{split}/12.txt", f"bert/{split}.txt"):
            path = tmp_path / "embeddings" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savetxt(path, X + 1e-3 * len(name), fmt="%.6f")
        (tmp_path / "entities").mkdir(exist_ok=True)
        text = "".join(f"word-{i} of it\t{label}\n" for i, label in enumerate(y))
        (tmp_path / "entities" / f"{split}.txt").write_text(text, encoding="utf-8")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "tags.txt").write_text("p.Time\np.Goal\np.Rare\np.Unseen\n", encoding="utf-8")
    return tmp_path


def test_the_vector_files_of_a_split_are_found_in_order(folder):
    found = released_embeddings(folder, "train")
    assert list(found) == ["bert", "layers/2", "layers/12"]
    assert found["layers/12"] == folder / "embeddings" / "layers" / "train" / "12.txt"
    with pytest.raises(FileNotFoundError, match="No vectors of split 'dev'"):
        released_embeddings(folder, "dev")


def test_a_split_is_read(folder):
    split = read_released(folder, split="test", embeddings="layers/12")
    assert split.X.shape == (7, 6)
    assert split.X.dtype == np.float64
    assert split.y.tolist() == ["p.Time"] * 3 + ["p.Goal"] * 4
    assert split.entities[0] == "word-0 of it"
    assert split.tags == ("p.Goal", "p.Rare", "p.Time", "p.Unseen")
    by_path = read_released(folder, split="test", embeddings=released_embeddings(folder, "test")["layers/12"])
    assert (by_path.X == split.X).all()


def test_answers_are_written_as_the_released_code_does(folder, tmp_path):
    split = read_released(folder, embeddings="bert")
    probe = DirectProbe(min_cluster_size=6).fit(split.X, split.y)
    write_released(tmp_path / "as", probe, as_released=True, tags=split.tags)
    write_released(tmp_path / "ours", probe)
    read = {name: (tmp_path / "as" / f"{name}.txt").read_text().splitlines() for name in FILES}
    assert read["clusters"] == [str(k) for k in probe.labels_]
    assert [line.split(",")[0] for line in read["vec"]] == [
        "p.Goal---p.Rare", "p.Goal---p.Time", "p.Goal---p.Unseen",
        "p.Rare---p.Time", "p.Rare---p.Unseen", "p.Time---p.Unseen",
    ]  # fmt: skip
    assert read["vec"][0] == "p.Goal---p.Rare,0.0000"
    assert read["vec"][1] == f"p.Goal---p.Time,{probe.label_distances_[0, 2]:.4f}"
    assert read["outside_min"][0] == f"p.Goal,{probe.min_distances_[0]:.4f}"
    assert read["inside_max"] == [
        f"p.Goal,{probe.inside_.label_max[0]:.4f}", "p.Rare,0.0000",
        f"p.Time,{probe.inside_.label_max[2]:.4f}", "p.Unseen,0.0000",
    ]  # fmt: skip
    assert read["inside_mean"][0] == f"p.Goal,{probe.inside_.label_mean[0]:.4f}"
    ours = (tmp_path / "ours" / "vec.txt").read_text().splitlines()
    assert ours[0] == "p.Goal---p.Rare,nan"
    assert len(ours) == 3


FILES = ("clusters", "vec", "inside_max", "inside_mean", "outside_min")


def test_the_reference_answers_are_reproduced_line_by_line(data_dir, tmp_path):
    path = data_dir.parent / "reference" / "psrole1k.npz"
    if not path.is_file():
        pytest.skip(f"the released code's answers are not at {path}")
    with np.load(path, allow_pickle=False) as archive:
        reference = {name: archive[name] for name in archive}
    probe = DirectProbe(min_cluster_size=6).fit(reference["X"], reference["y"])
    write_released(tmp_path, probe, as_released=True)
    lines = [line.split(",") for line in (tmp_path / "vec.txt").read_text().splitlines()]
    assert [name for name, _ in lines] == reference["pair_names"].tolist()
    assert np.array([float(v) for _, v in lines]) == pytest.approx(reference["pair_distances"], abs=1.01e-4)
    for name in ("inside_max", "inside_mean", "outside_min"):
        lines = [line.split(",") for line in (tmp_path / f"{name}.txt").read_text().splitlines()]
        assert [label for label, _ in lines] == reference["labels"].tolist()
        assert np.array([float(v) for _, v in lines]) == pytest.approx(reference[name], abs=1.1e-4)


def test_zeros_need_the_released_codes_minimum_size(folder, tmp_path):
    split = read_released(folder, embeddings="bert")
    with pytest.raises(ValueError, match=r"needs DirectProbe\(min_cluster_size=6\), got 1"):
        write_released(tmp_path, DirectProbe().fit(split.X, split.y), as_released=True)


@pytest.mark.parametrize(
    ("file", "text", "error", "message"),
    [
        ("entities/train.txt", "a b\n", ValueError, "line 1: expected 'entity<TAB>label'"),
        ("entities/train.txt", "a\tp.Other\n", ValueError, r"labels that .*tags.txt lacks: \['p.Other'\]"),
        ("entities/train.txt", "a\tp.Time\n", ValueError, "has 17 lines, .* has 1"),
        ("embeddings/bert/train.txt", "1 2\n3 4 5\n", ValueError, "equally many a line"),
        ("embeddings/bert/train.txt", "1 2\n3\n", ValueError, "line 2: a value is missing"),
        ("embeddings/bert/train.txt", "1 x\n", ValueError, "expected numbers separated by spaces"),
        ("labels/tags.txt", None, FileNotFoundError, "tags.txt is missing"),
    ],
)
def test_broken_folders_are_named(folder, file, text, error, message):
    if text is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message):
        read_released(folder, embeddings="bert")


def test_a_choice_of_vectors_is_asked_for(folder):
    with pytest.raises(ValueError, match=r"one of \['bert', 'layers/2', 'layers/12'\], got None"):
        read_released(folder)
