"""What a recipe may say, and what it means."""
