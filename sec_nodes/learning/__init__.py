"""Learners: what is trained, by what, and how. The only part of the runtime that knows torch."""
