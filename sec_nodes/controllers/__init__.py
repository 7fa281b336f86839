"""Deciders: each looks at a SlotState and answers with a SlotDecision."""
