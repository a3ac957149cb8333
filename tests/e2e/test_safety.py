"""Safety: nothing is unpickled, no code comes with data, nothing is written elsewhere, no secret is written at all."""

from __future__ import annotations

import ast
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from closerlook.config import config_dir, folder_name, register, typed
from closerlook.errors import UserError

pytestmark = pytest.mark.e2e


def config(app: str, *overrides: str) -> Any:
    register()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        composed = compose(app, overrides=list(overrides))
    return typed(composed) if app == "train" else composed


class Malicious:
    """Unpickling it leaves a file behind."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.mkdir, (str(self.marker),))


UNPICKLERS = {
    ("pickle", "load"), ("pickle", "loads"), ("pickle", "Unpickler"), ("joblib", "load"), ("dill", "load"),
    ("cloudpickle", "load"), ("cloudpickle", "loads"), ("pd", "read_pickle"), ("pandas", "read_pickle"),
    ("shelve", "open"), ("marshal", "loads"), ("yaml", "load"), ("yaml", "unsafe_load"),
}  # fmt: skip


def problems(source: str, name: str) -> list[str]:
    """Calls that could run code from a file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        owner, called = "", ""
        if isinstance(node.func, ast.Attribute):
            called = node.func.attr
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
        elif isinstance(node.func, ast.Name):
            called = node.func.id
        options = {k.arg: k.value.value if isinstance(k.value, ast.Constant) else None for k in node.keywords}
        bad = (
            (owner, called) in UNPICKLERS
            or (isinstance(node.func, ast.Name) and called in ("eval", "exec"))
            or ((owner, called) == ("torch", "load") and options.get("weights_only") is not True)
            or ((owner, called) == ("np", "load") and options.get("allow_pickle") is not False)
            or (called == "fit" and "ckpt_path" in options and options.get("weights_only") is not True)
            or options.get("trust_remote_code") is True
            or options.get("shell") is True
        )
        if bad:
            found.append(f"{name}:{node.lineno}: {owner}.{called}")
    return found


def test_no_source_file_unpickles_or_runs_what_it_reads(project: Path) -> None:
    files = sorted((project / "src").rglob("*.py"))
    assert len(files) > 100
    assert not [line for file in files for line in problems(file.read_text(), file.name)]
    # the search itself finds what it should
    for bad in (
        "torch.load(p)", "torch.load(p, weights_only=False)", "np.load(p)", "np.load(p, allow_pickle=True)",
        "pickle.load(f)", "joblib.load(f)", "m.from_pretrained(x, trust_remote_code=True)", "eval(x)",
        "trainer.fit(m, ckpt_path=p)", "subprocess.run(c, shell=True)",
    ):  # fmt: skip
        assert problems(bad, "x"), bad


def test_every_exception_from_the_security_rules_has_its_reason(project: Path) -> None:
    lines = [
        line for file in (project / "src").rglob("*.py") for line in file.read_text().splitlines()
        if re.search(r"noqa:.*\bS\d{3}", line)
    ]  # fmt: skip
    assert all(re.search(r"noqa: S\d{3}(, S\d{3})*\W+\w{3}", line) for line in lines), lines
    rules = (project / "pyproject.toml").read_text()
    ignored = re.search(r"\[tool\.ruff\.lint\]\n.*?ignore = \[(.*?)\n\]", rules, re.S)
    assert ignored
    assert not re.search(r'"S\d*"', ignored[1])


def test_remote_code_is_off_in_every_configuration(project: Path) -> None:
    from closerlook.models.encoder_settings import ModelSettings

    assert ModelSettings().trust_remote_code is False
    files = sorted((project / "conf").rglob("*.yaml"))
    assert len(files) > 40
    said = [line.strip() for file in files for line in file.read_text().splitlines() if "trust_remote_code:" in line]
    assert said == ["trust_remote_code: false"]  # probe.py's own, which only its command line turns on


def test_code_in_a_model_folder_is_not_run(small: tuple[str, ...], tiny_bert: Path, tmp_path: Path) -> None:
    from closerlook.pipelines.fine_tune import train

    folder = Path(shutil.copytree(tiny_bert, tmp_path / "model"))
    code = f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\nclass C: pass\nclass M: pass\n"
    (folder / "evil.py").write_text(code)
    settings = json.loads((folder / "config.json").read_text())
    mapped = {"AutoConfig": "evil.C", "AutoModel": "evil.M"}
    (folder / "config.json").write_text(json.dumps(settings | {"model_type": "evil", "auto_map": mapped}))
    with pytest.raises(UserError, match="cannot be loaded"):
        train(config("train", *small, f"run_dir={tmp_path}/run", "logger=none", f"model.source={folder}"))
    assert not (tmp_path / "ran").exists()


def test_pickled_weights_are_not_loaded(small: tuple[str, ...], tiny_bert: Path, tmp_path: Path) -> None:
    from closerlook.pipelines.fine_tune import train

    folder = Path(shutil.copytree(tiny_bert, tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Malicious(tmp_path / "ran")))
    with pytest.raises(UserError, match="holds Python objects"):
        train(config("train", *small, f"run_dir={tmp_path}/run", "logger=none", f"model.source={folder}"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("form", ["pickle", "zip"])
def test_a_checkpoint_is_not_unpickled(form: str, small: tuple[str, ...], tmp_path: Path) -> None:
    import torch

    from closerlook.pipelines.fine_tune import train

    checkpoint = tmp_path / "evil.ckpt"
    if form == "pickle":
        checkpoint.write_bytes(pickle.dumps({"state_dict": {}, "global_step": Malicious(tmp_path / "ran")}))
    else:
        torch.save({"state_dict": {}, "global_step": Malicious(tmp_path / "ran")}, checkpoint)
    with pytest.raises(UserError, match=r"evil\.ckpt"):
        train(config("train", *small, f"run_dir={tmp_path}/run", "logger=none", f"ckpt_path={checkpoint}"))
    assert not (tmp_path / "ran").exists()
    if form == "zip":  # the trap works
        torch.load(checkpoint, weights_only=False)
        assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["X.npy", "X.npz"])
def test_an_array_file_is_not_unpickled(name: str, tmp_path: Path) -> None:
    from closerlook.pipelines.probe_vectors import probe_vectors

    evil = np.array([[Malicious(tmp_path / "ran")]] * 2, dtype=object)
    np.save(tmp_path / name, evil, allow_pickle=True) if name == "X.npy" else np.savez(tmp_path / name, X=evil)
    (tmp_path / "y.txt").write_text("a\nb\n")
    settings = (f"vectors={tmp_path}/{name}", f"labels={tmp_path}/y.txt", f"output_dir={tmp_path}/out")
    with pytest.raises(UserError, match=name):
        list(probe_vectors(typed(config("probe", *settings))))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("../../x", "x"),
        ("a/b", "a-b"),
        ("..", "unnamed"),
        ("/etc", "etc"),
        ("~/x", "x"),
        ("C:\\x", "C-x"),
        ("", "unnamed"),
    ],
)
def test_a_name_is_one_folder(name: str, folder: str) -> None:
    assert folder_name(name) == folder


@pytest.mark.parametrize("name", ["../../../escaped", "/escaped", "a/../../../escaped"])
def test_no_name_leads_out_of_the_runs_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register()
    overrides = [f"paths.runs_dir={tmp_path}/runs", f"model.name='{name}'", "hydra.runtime.output_dir=x"]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        found = compose("train", overrides=[*overrides, "model=any"], return_hydra_config=True)
        monkeypatch.setattr(HydraConfig.instance(), "cfg", found)
        for place in (found.hydra.run.dir, f"{found.hydra.sweep.dir}/{found.hydra.sweep.subdir}"):
            inside = Path(os.path.normpath(place)).relative_to(tmp_path / "runs")
            assert len(inside.parts) == 3


SCRIPT = "</script><script>window.ran=1</script>"
EVIL = f"<img src=x onerror='{SCRIPT}'>"


@pytest.fixture(scope="module")
def evil_run(small: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a user's own file whose labels and texts are markup and paths, named by a path."""
    from closerlook.pipelines.fine_tune import train
    from closerlook.pipelines.probe_run import probe

    folder = tmp_path_factory.mktemp("evil")
    labels = (EVIL, "../../../escaped", "plain")
    rows = [{"text": f"{EVIL} text {i}", "label": labels[i % 3]} for i in range(30)]
    for name in ("a.jsonl", "b.jsonl"):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = (f"task.data_files.train={folder}/a.jsonl", f"task.data_files.test={folder}/b.jsonl")
    run_dir = folder / "runs" / "run"
    overrides = (*small, "task=text_classification", *files, "model.name='../../../escaped'", "finetuning.epochs=1")
    train(config("train", *overrides, f"run_dir={run_dir}"))
    outcome = probe(typed(config("probe", f"run_dir={run_dir}", "n_jobs=1", "layers=last")))
    assert not outcome.probes.failed
    return folder


def test_labels_that_are_markup_are_text_in_the_report(evil_run: Path) -> None:
    page = (evil_run / "runs" / "run" / "report.html").read_text(encoding="utf-8")
    assert "escaped" in page  # the labels are there
    assert SCRIPT not in page
    assert "<img src=x" not in page
    assert "window.ran=1" in page  # escaped, not left out


def test_labels_and_names_that_are_paths_write_nothing_elsewhere(evil_run: Path) -> None:
    assert sorted(path.name for path in evil_run.iterdir()) == ["a.jsonl", "b.jsonl", "runs"]
    assert [path.name for path in (evil_run / "runs").iterdir()] == ["run"]
    assert not list(evil_run.parent.rglob("escaped*"))


@pytest.mark.slow
def test_labels_that_are_markup_do_not_run_in_a_browser(evil_run: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    browser_path = shutil.which("chromium")
    if browser_path is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=browser_path)
        page = browser.new_page()
        page.goto((evil_run / "runs" / "run" / "report.html").as_uri())
        page.wait_for_timeout(1500)
        assert page.evaluate("window.ran === undefined")
        browser.close()


KEYS = {"WANDB_API_KEY": "0a1b2c3d4e" * 4, "HF_TOKEN": "hf_" + "Qq7" * 12}


def test_keys_are_written_nowhere(
    project: Path, small: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    """Neither by a run and its probes, nor by a command that fails with a traceback."""
    from closerlook.pipelines.fine_tune import train
    from closerlook.pipelines.probe_run import probe

    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.delenv("WANDB_SILENT")
    train(config("train", f"run_dir={tmp_path}/run", *small, "finetuning.epochs=1"))
    probe(typed(config("probe", f"run_dir={tmp_path}/run", "layers=last", "n_jobs=1")))
    command = [
        sys.executable,
        str(project / "train.py"),
        f"hydra.run.dir={tmp_path}/bad",
        *small,
        "snapshot.layers=[9]",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr + "".join(capfd.readouterr())
    assert "Traceback" in output
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".wandb", ".html", ".json", ".jsonl", ".yaml", ".ckpt", ".npy", ".log"}
    for key in KEYS.values():
        assert key not in output
        assert not [path for path in files if key.encode() in path.read_bytes()]


def test_a_key_in_the_settings_is_not_sent(tmp_path: Path) -> None:
    from closerlook.redaction import redact

    sent = json.dumps(redact({"task": {"hub_token": "abc"}, "note": KEYS["HF_TOKEN"], "list": [KEYS["HF_TOKEN"]]}))
    assert "abc" not in sent
    assert KEYS["HF_TOKEN"] not in sent
