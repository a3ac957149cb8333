"""The hull probe needs numpy, scipy, scikit-learn and numba; nothing heavier comes in with it."""

import subprocess
import sys

HEAVY = ("torch", "pytorch_lightning", "lightning", "hydra", "omegaconf", "wandb", "transformers", "datasets", "plotly")


def test_importing_and_using_the_probe_loads_nothing_heavy():
    code = f"""
import sys
import closerlook.probing
assert "numba" not in sys.modules, "importing the package must stay light"
assert "DirectProbe" in dir(closerlook.probing)
from closerlook.probing import DirectProbe, hull_distance, label_distances
DirectProbe().fit([[0.0], [1.0]], [0, 1]).label_distances_
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error():
    import closerlook.probing

    assert not hasattr(closerlook.probing, "IndirectProbe")
