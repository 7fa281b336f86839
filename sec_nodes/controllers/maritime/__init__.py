"""Controllers of the maritime scenario, and what they are made of."""
