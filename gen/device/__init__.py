"""What a chip or a board has: families, memories, PLLs, pins."""
