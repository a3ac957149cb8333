"""Measure how fine-tuning changed the space that train.py stored: python probe.py --help."""

from closerlook.cli.probe import main

if __name__ == "__main__":
    main()
