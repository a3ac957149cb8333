"""Fine-tune an encoder on a task and store its space along the way: python train.py --help."""

from closerlook.cli.train import main

if __name__ == "__main__":
    main()
