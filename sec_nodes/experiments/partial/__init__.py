"""Reproduction of Figs 3 to 7 and of the claims about Algorithm 1 of Liu et al. 2026."""
