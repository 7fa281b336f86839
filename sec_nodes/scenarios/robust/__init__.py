"""robust: networks split between users and UAVs that may fail, Meng and Li."""

from sec_nodes.scenarios.robust.scenario import Robust
from sec_nodes.scenarios.robust.state import RobustDecision, RobustOutcome, RobustState

__all__ = ['Robust', 'RobustDecision', 'RobustOutcome', 'RobustState']
