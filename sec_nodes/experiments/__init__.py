"""Experiments that papers describe, carried out anew: what was published beside what comes out."""
