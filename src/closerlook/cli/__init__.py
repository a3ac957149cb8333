"""The command line: compose the configuration, set up logging, call a pipeline."""
