"""Controllers of the partial scenario, and what they are made of."""
