"""Reproduction of Figs 3 to 5 of Meng and Li, and of what they leave open about failures."""
