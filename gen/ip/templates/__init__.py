"""Template and style of the data sheet: data alone."""
