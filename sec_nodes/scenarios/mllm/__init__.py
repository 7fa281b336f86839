"""mllm: multimodal models on UAVs and satellites, Yan et al., Drones 2025, 9, 500."""

from sec_nodes.scenarios.mllm.scenario import Mllm
from sec_nodes.scenarios.mllm.state import MllmDecision, MllmOutcome, MllmState, Orbit

__all__ = ['Mllm', 'MllmDecision', 'MllmOutcome', 'MllmState', 'Orbit']
