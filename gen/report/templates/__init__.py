"""Templates, style and script of report.html: data alone."""
