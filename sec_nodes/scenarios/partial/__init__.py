"""partial: missions with partly uploaded programs, Liu et al., Sensors 2026, 26(11), 3540."""

from sec_nodes.scenarios.partial.instance import PartialState
from sec_nodes.scenarios.partial.scenario import Partial, PartialDecision, PartialOutcome

__all__ = ['Partial', 'PartialDecision', 'PartialOutcome', 'PartialState']
