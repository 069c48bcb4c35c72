"""QONNX graphs: Brevitas' exports and FINN's networks, read as networks of one step."""
