"""A real sweep of four jobs through each of Hydra's launchers; skipped, by name, where the plugin is missing."""

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LAUNCHERS = {
    "joblib": ("hydra_plugins.hydra_joblib_launcher", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]),
    "submitit": ("hydra_plugins.hydra_submitit_launcher", ["hydra/launcher=submitit_local"]),
    "ray": ("hydra_plugins.hydra_ray_launcher", ["hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2"]),
}


@pytest.mark.parametrize("name", list(LAUNCHERS))
def test_four_jobs_through_a_launcher(
    name: str, project: Path, small: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin, overrides = LAUNCHERS[name]
    if find_spec("hydra_plugins") is None or find_spec(plugin) is None:
        pytest.skip(f"{plugin} is not installed: pip install 'closerlook[{name}]'")
    command = [
        sys.executable, str(project / "train.py"), "-m", *small, "logger=none", f"paths.runs_dir={tmp_path}",
        *overrides,
        "seed=0,1", "task.text_part=headline,nonsense",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "160", "RAY_USAGE_STATS_ENABLED": "0"}
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=560, env=environment, check=False)
    with capsys.disabled():
        print(f"\n{name}: 4 jobs in {time.monotonic() - start:.0f} s")
    assert "sweep of 4 jobs: 2 finished, 2 failed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1
    assert len(list(tmp_path.glob("*/*/*/checkpoints/last.ckpt"))) == 2


def test_cluster_recipe_composes(project: Path) -> None:
    if find_spec("hydra_plugins") is None or find_spec("hydra_plugins.hydra_submitit_launcher") is None:
        pytest.skip("hydra_plugins.hydra_submitit_launcher is not installed: pip install 'closerlook[submitit]'")
    command = [sys.executable, str(project / "train.py"), "hydra/launcher=slurm", "--cfg", "hydra"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "submitit_launcher.SlurmLauncher" in done.stdout, done.stderr
    assert "max_num_timeout: 5" in done.stdout
