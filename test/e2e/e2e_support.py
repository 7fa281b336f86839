"""The folder of the project, for tests that start its examples."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
