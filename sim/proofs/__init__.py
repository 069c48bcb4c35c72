"""The claims that `make formal` proves, a file for each kind of component."""
