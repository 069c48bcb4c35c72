"""The neurons: their arithmetic."""
