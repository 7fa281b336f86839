"""Controllers of the mllm scenario, and what they are made of."""
