"""AD-SAC-C: AD-SAC with choices mapped to numbers, an ablation of Yan et al., Drones 2025, 9, 500,
Fig. 8.

This is relaxed SAC + merge: a soft actor-critic of K S scores and D numbers, of which the largest
admissible scores decide (see `relaxed`), with the twin critic of one value that SAC has. Of the
merge, eqs. (51) to (53), only what concerns numbers is left. Without `merge.every` it is SAC.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from sec_nodes.config import Settings
from sec_nodes.learning.algorithms.ad_sac import AdSac, AdSacHyper
from sec_nodes.learning.export import flat_policy
from sec_nodes.learning.relaxed import Relaxed, RelaxedProblem


class AdSacC(Relaxed):
    """AD-SAC-C: `AdSac` without choices, at work on the relaxed problem."""

    name: ClassVar[str] = 'ad_sac_c'
    Hyper: ClassVar[type[Settings]] = AdSacHyper
    inner: AdSac

    def make_inner(self, problem: RelaxedProblem, hyper: AdSacHyper) -> AdSac:
        """AD-SAC of scores and numbers."""
        return AdSac(problem, hyper)

    def outputs(self, observation: Tensor) -> Tensor:
        """Means (X, K S + D) before tanh."""
        return self.inner.networks.gaussian(self.inner.see(observation))[0]

    def policy_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The means' network."""
        networks = self.inner.networks.policy_networks()
        return flat_policy(self.name, self.shape, self.inner.normaliser, networks)
