"""closerlook: see how fine-tuning changes the space in which an encoder places its examples."""

__version__ = "0.1.0"
