"""The UART link of a board."""
