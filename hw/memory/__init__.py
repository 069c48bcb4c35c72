"""Weight memories and the chain that loads them."""
