"""Which processes make up a fleet, and how they are started, watched and stopped."""
