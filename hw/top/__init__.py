"""Networks and boards put together."""
