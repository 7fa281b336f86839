"""Scenes at sea, questions about them and their true answers: what the small MLLMs are made on."""
