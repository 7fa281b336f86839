"""Figs 3 to 9 and Table II of Qi et al., IEEE Internet Things J. 2025."""
