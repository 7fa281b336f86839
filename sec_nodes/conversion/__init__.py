"""From torch and transformers to graphs that run without them; needs requirements/train.txt."""
