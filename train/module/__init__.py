"""The trainable network: layers, scans, weights."""
