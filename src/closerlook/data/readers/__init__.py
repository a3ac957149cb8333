"""One reader for each file format: bytes in, plain records out, every fault with its file and line."""
