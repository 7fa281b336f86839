"""Satellite edge computing: who runs which layers, where, at what power."""

__version__ = '0.1.0'
