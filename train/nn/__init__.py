"""Layers and neurons of torch for a training loop of one's own."""
