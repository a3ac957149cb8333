"""The study: runs joined over models, tasks and seeds, and the paper's claims with intervals. Sees results only."""
