"""What a design costs and how its streams flow, before any synthesis."""
