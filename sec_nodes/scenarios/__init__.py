"""The systems: what a slot costs, which decisions are allowed, and how the world moves."""
