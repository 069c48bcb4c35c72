"""Other people's networks and data: PyTorch frameworks, NIR, QONNX, in; `FloatNetwork`, out."""
