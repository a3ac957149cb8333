"""Send results to Weights & Biases and other loggers; the only package that imports wandb, and only when used."""
