"""Send results to Weights & Biases and other loggers; the only package that imports wandb."""

import os

# Before wandb is imported: its reports about itself wait up to 30 s at exit for a server that does not answer.
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
