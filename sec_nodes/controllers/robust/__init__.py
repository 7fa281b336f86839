"""Controllers of the robust scenario, and what they are made of."""
