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

from closerlook.config import variant

pytestmark = pytest.mark.e2e

SMALL = {
    "task.limit_train_texts": "64", "task.limit_test_texts": "32", "trainer.limit_train_batches": "2",
    "trainer.accelerator": "cpu", "trainer.log_every_n_steps": "1",
}  # fmt: skip
ONE_MACHINE = {"trainer.num_nodes": "1", "trainer.devices": "1"}
NOT_HERE = {
    "hydra/launcher=slurm": ("hydra_plugins.hydra_submitit_launcher", "needs a cluster; tests/e2e/test_slurm.py"),
    "hydra/launcher=ray": ("hydra_plugins.hydra_ray_launcher", "needs a cluster; tests/e2e/test_launchers.py"),
    "cluster=ray": ("ray", "tests/e2e/test_probing_clusters.py"),
}
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
            named = {"run_dir=x": f"run_dir={FIRST_RUN}", "output_dir=x": "output_dir=elsewhere"}
            given = [named.get(word, word) for word in given]
            return ["probe.py", *given, *([] if "n_jobs" in settings else ["n_jobs=1"])]
        more = {key: value for key, value in SMALL.items() if key not in settings}
        if "trainer" in settings:
            more |= ONE_MACHINE
        name = variant(word for word in given if not word.startswith("-"))
        more |= {"trainer.accelerator": "cpu", "variant": name}
        return ["train.py", *given, *(f"{key}={value}" for key, value in more.items())]

    @property
    def missing(self) -> str:
        """Why it cannot run here; empty when it can."""
        for setting, (package, reason) in NOT_HERE.items():
            parts = package.split(".")
            if setting in self.shown and (find_spec(parts[0]) is None or find_spec(package) is None or len(parts) > 1):
                return reason
        return ""


@pytest.fixture(scope="module")
def commands(project: Path, fixture_module: Callable[[str], ModuleType]) -> list[Command]:
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
