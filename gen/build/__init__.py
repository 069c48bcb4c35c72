"""A build folder and its stages."""
