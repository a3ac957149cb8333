"""Every command of the README, of ``--help`` and of the headers in conf/ runs, in the order in which they stand there.

They are typed in one directory, as a reader would: small stand-ins take the place of hub models, of large data and of
machines that are not here; a command keeps its directory's name.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from hydra import compose, initialize_config_dir

from closerlook.config import config_dir, register, variant

pytestmark = pytest.mark.e2e

SMALL = {
    "task.limit_train_texts": "64", "task.limit_test_texts": "24", "trainer.limit_train_batches": "2",
    "trainer.accelerator": "cpu", "trainer.log_every_n_steps": "1",
}  # fmt: skip
ONE_MACHINE = {"trainer.num_nodes": "1", "trainer.devices": "1"}
NOT_HERE = {
    "hydra/launcher=slurm": ("hydra_plugins.hydra_submitit_launcher", "needs a cluster; tests/e2e/test_slurm.py"),
    "hydra/launcher=ray": ("hydra_plugins.hydra_ray_launcher", "needs a cluster; tests/e2e/test_launchers.py"),
    "cluster=ray": ("ray", "tests/e2e/test_probing_clusters.py"),
}
QUICK = {  # settings of probes that would take minutes
    "linear": {"C": "1"},
    "mlp": {"n_seeds": "1", "max_iter": "20"},
    "mlp_grid": {"units": "[32]", "alphas": "[1e-3]", "n_seeds": "1", "max_iter": "20"},
}
TWO_TASKS = ("e5",)
FIRST_RUN = "runs/bbc_topics/minilm_l6/seed-0"


@dataclass(frozen=True)
class Command:
    """A documented command, and what is typed for it."""

    name: str
    shown: str

    @property
    def words(self) -> list[str]:
        """What is typed."""
        given = shlex.split(self.shown, comments=True)
        settings = dict(word.split("=", 1) for word in given if "=" in word)
        if self.name == "probe":
            return self._probe_words(given, settings)
        if "experiment" in settings:
            given += _first_of_grid(self.experiment, settings)
        more = {key: value for key, value in SMALL.items() if key not in settings}
        if "trainer" in settings:
            more |= ONE_MACHINE
        more["trainer.accelerator"] = "cpu"
        if not ("-m" in given and any("," in settings[key] for key in settings if "method" in key)):
            # the name that it has without the settings above; jobs of a sweep over methods need one each
            more["variant"] = variant(f"{key}={value}" for key, value in settings.items())
        if "--cfg" not in given and given and not any(key.startswith("logger") for key in settings):
            more["logger"] = "none"  # the first command and those that set it up have W&B
        return ["train.py", *given, *(f"{key}={value}" for key, value in more.items())]

    @property
    def experiment(self) -> str:
        """The name of its experiment."""
        return dict(word.split("=", 1) for word in shlex.split(self.shown) if "=" in word)["experiment"]

    def _probe_words(self, given: list[str], settings: dict[str, str]) -> list[str]:
        named = {"run_dir=x": f"run_dir={FIRST_RUN}", "output_dir=x": "output_dir=elsewhere"}
        words = [named.get(word, word) for word in given]
        if not {"vectors", "released_dir"} & set(settings) and any("=" in word for word in words):
            groups = [word for word in words if word.startswith(("probe=", "study="))]
            with initialize_config_dir(str(config_dir()), version_base="1.3"):
                probes = compose("probe", overrides=groups).probe
            words += [f"probe.{name}.{key}={value}" for name in probes for key, value in QUICK.get(name, {}).items()]
            words += ["n_jobs=1", *(["logger=none"] if "dashboards" not in self.shown else [])]
        return ["probe.py", *words]

    @property
    def missing(self) -> str:
        """Why it cannot run here; empty when it can."""
        for setting, (package, reason) in NOT_HERE.items():
            parts = package.split(".")
            if setting in self.shown and (find_spec(parts[0]) is None or find_spec(package) is None or len(parts) > 1):
                return reason
        return ""


def _first_of_grid(experiment: str, settings: dict[str, str]) -> list[str]:
    """One job of an experiment's grid (two where it looks from one task at another)."""
    content = yaml.safe_load((config_dir() / "experiment" / f"{experiment}.yaml").read_text())
    grid = content.get("hydra", {}).get("sweeper", {}).get("params", {})
    n = {"task": 2 if experiment in TWO_TASKS else 1}
    return [f"{k}={','.join(str(v).split(',')[: n.get(k, 1)])}" for k, v in grid.items() if k not in settings]


@pytest.fixture(scope="module")
def commands(project: Path, fixture_module: Callable[[str], ModuleType]) -> list[Command]:
    register()
    spec = fixture_module("documented")
    return [Command(name, shown) for name, shown in spec.documented(project)]


@pytest.fixture(scope="module")
def typed_in(
    project: Path, commands: list[Command], data_dir: Path, fixture_module: Callable[[str], ModuleType],
    wandb_server: ModuleType, tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[list[str]], object]]:  # fmt: skip
    """Types a command in a directory with the stand-ins."""
    root = tmp_path_factory.mktemp("documented")
    sources: dict[str, str | None] = {}
    for file in (project / "conf/model").glob("*.yaml"):
        content = yaml.safe_load(file.read_text())
        if re.fullmatch(r"[\w-]+/[\w.-]+", str(content.get("source"))):
            sources[content["source"]] = content.get("revision")
    for command in commands:
        for hub_id in re.findall(r"model\.source=([\w-]+/[\w.-]+)", command.shown):
            sources.setdefault(hub_id, None)
    environment = fixture_module("stand_ins").make_workplace(root, project, sources)
    with wandb_server.serving("works") as wandb:
        environment |= {"CLOSERLOOK_DATA_DIR": str(data_dir), "COLUMNS": "80", "HOME": str(root)}
        environment |= {"WANDB_BASE_URL": wandb.url, "WANDB_API_KEY": "0123456789" * 4}
        server = fixture_module("command_server").CommandServer(project, **environment)
        try:
            yield lambda words: server.run(*words, cwd=root, timeout=600)
        finally:
            server.close()


@pytest.mark.slow
def test_every_documented_command_runs(
    commands: list[Command], typed_in: Callable[[list[str]], object], capsys: pytest.CaptureFixture[str]
) -> None:
    failed, skipped, cpu = [], [], 0.0
    for command in commands:
        if command.missing:
            skipped.append(f"  {command.name}.py {command.shown}: {command.missing}")
            continue
        done = typed_in(command.words)
        cpu += done.cpu
        with capsys.disabled():
            print(f"{done.code:4} {done.cpu:5.1f} s  {command.name}.py {command.shown[:110]}", flush=True)
        if done.code or "Traceback" in done.err + done.out:
            failed.append(f"{shlex.join(command.words)}\n{done.out[-1500:]}\n{done.err[-3000:]}")
    with capsys.disabled():
        print(f"\n{len(commands)} documented commands: {len(commands) - len(skipped)} run, {len(failed)} failed, "
              f"{len(skipped)} need what is not here; {cpu:.0f} CPU seconds", *skipped, sep="\n")  # fmt: skip
    assert not failed, "\n\n".join(failed)
    assert len(commands) - len(skipped) > 70
