"""maritime: urgent tasks and stored data of the sea, Qi et al., IEEE IoT-J 12(24), 2025."""

from sec_nodes.scenarios.maritime.scenario import Maritime
from sec_nodes.scenarios.maritime.state import MaritimeDecision, MaritimeOutcome, MaritimeState

__all__ = ['Maritime', 'MaritimeDecision', 'MaritimeOutcome', 'MaritimeState']
