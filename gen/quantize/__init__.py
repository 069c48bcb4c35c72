"""Real numbers to integers: a float network, its reference, the folding of its constants."""
