"""What Meng and Li state in numbers. Their figures are not at hand, so these are all there are."""

from __future__ import annotations

PAPER = (
    'Meng and Li, *Robust DNN Partitioning and Task Offloading in Multi-UAV-Assisted MEC Against '
    'UAV Failures*'
)
STEPS_TO_CONVERGE = {'sac_per': 20_000, 'sac': 30_000, 'redq': 50_000}
"""Fig. 3: "within about 20K training steps", "around 30K", "50K"."""
