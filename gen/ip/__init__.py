"""A network as an IP block: a folder that other people's tools read."""
