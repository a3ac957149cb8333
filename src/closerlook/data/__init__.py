"""From files to batches: readers, tasks, splits, alignment of words and subwords, data loaders."""
