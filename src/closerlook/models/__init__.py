"""Encoders: loading them, pooling their hidden states, tuning them."""
