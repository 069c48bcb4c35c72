"""Programs outside Python: finding them, running them, trusting what they made."""
