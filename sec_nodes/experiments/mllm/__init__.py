"""The experiments of Yan et al., Drones 2025, 9, 500, section 5.2: Figs 3 to 8."""
