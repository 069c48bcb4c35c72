"""A training run: folder, lock, checkpoints, teacher."""
