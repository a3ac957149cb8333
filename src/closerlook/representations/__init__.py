"""The one on-disk format of hidden states: the contract between training and probing."""
