"""AD-SAC with structured networks, which is what users get as `ad_sac`.

The frame is that of `ad_sac`, Yan et al., Drones 2025, 9, 500: twin critics, entropy, numbers
first, then choices. What differs, and docs/learning.md says in full:

1. networks that share weights over pairs of device and server and see physical features
   (`set_networks`), in place of fully connected ones on the state vector;
2. critics that hear the load which the joint action puts on each server, and a discrete actor that
   hears what the continuous one has decided;
3. devices are settled one group after another, the surest first, and the others are scored anew
   beside them (`controllers.mllm.set_policy`); in training the surest device of a random group has
   each of its options valued with all others where they end up;
4. queues that are left behind have a value of their own; numbers follow the slot's rewards alone;
5. there is no merge.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from sec_nodes.config import Settings
from sec_nodes.controllers.mllm.pairs import scene
from sec_nodes.controllers.mllm.set_policy import SetPolicy
from sec_nodes.controllers.mllm.sight import Sight
from sec_nodes.learning.algorithms.ad_sac import AdSac, AdSacHyper
from sec_nodes.learning.critics import Critic, Draw, PerDevice, Step
from sec_nodes.learning.distributions import MaskedCategorical, TanhNormal
from sec_nodes.learning.mllm import MllmProblem
from sec_nodes.learning.networks import KnownScale
from sec_nodes.learning.problem import Action, Problem
from sec_nodes.learning.set_networks import SetNetworks, Settling


class AdSacSetHyper(AdSacHyper):
    """Hyper-parameters of AD-SAC with structured networks."""

    hidden: tuple[int, ...] = Field((32,), min_length=1, max_length=1)
    """Width of the networks of pairs."""
    groups: int = Field(5, ge=1)
    """In how many groups devices are settled in gradient steps."""
    critic: Literal['per_device'] = 'per_device'
    """No other is known here."""

    @model_validator(mode='after')
    def _no_merge(self) -> AdSacSetHyper:
        if self.merge.every:
            raise ValueError(
                f'merge.every is {self.merge.every}, but ad_sac has no merge: it values options '
                'one by one; set it to 0, or train ad_sac_flat'
            )
        return self


class SettledChoices(MaskedCategorical):
    """The choice (B, 1) of one device while all are being settled.

    Args:
        settling: who it is, its scores, and where all end up.
        mask: (B, K, S) options.
    """

    def __init__(self, settling: Settling, mask: Tensor) -> None:
        rows = torch.arange(len(mask))
        super().__init__(settling.scores[:, None], mask[rows, settling.device][:, None])
        self.device, self.joint = settling.device, settling.joint

    def instead(self) -> Tensor:
        """(S, B, K, S) the joint choice with each option of that device in place of its own."""
        rows, options = torch.arange(len(self.device)), self.joint.shape[-1]
        asks = self.joint[rows, self.device].sum(-1, keepdim=True)
        changed = self.joint.repeat(options, 1, 1, 1)
        for option in range(options):
            changed[option, rows, self.device] = 0.0
            changed[option, rows, self.device, option] = asks[:, 0]
        return changed


def settled(draw: Draw) -> SettledChoices:
    """The choices of a draw of `AdSacSet`."""
    assert isinstance(draw.choices, SettledChoices)
    return draw.choices


class Settled(PerDevice):
    """Values of each device beside the joint choice, which all others have made as well.

    What follows has a value of its own, common to all devices, because it depends on the tasks of
    this slot through the queues alone.

    Args:
        networks: learn.
        target: follow.
        gamma: discount a slot.
    """

    def __init__(self, networks: SetNetworks, target: SetNetworks, gamma: float) -> None:
        super().__init__(networks, target)
        self._gamma = gamma

    def loss(self, step: Step) -> Tensor:
        """Squared errors: of rewards, device by device and twin by twin, and of what follows."""
        rewards, future = self.networks.values(step.seen, step.continuous, step.assigned)
        taken = (rewards * step.assigned).sum(-1)
        loss = (taken - step.reward).square().sum() / len(future)
        if self._gamma:
            with torch.no_grad():
                joint = settled(step.following).joint
                next_rewards, beyond = self.target.values(
                    step.next_seen, step.following.continuous, joint
                )
                goal = (next_rewards * joint).sum(-1).mean((0, 2)) + step.onward * beyond
            loss = loss + (future - goal).square().mean()
        return loss

    def worth(self, seen: Tensor, draw: Draw) -> Tensor:
        """Value (B,) to be ascended: of the numbers, and of the shares of the device looked at.

        What an option of that device is worth counts what it does to all others, and the queues
        that it leaves. Numbers are moved by the rewards of the slot alone: the gradient of what
        follows by the places of UAVs led them astray (docs/learning.md).
        """
        choices = settled(draw)
        with torch.no_grad():
            instead = choices.instead()
            continuous = draw.continuous.detach().expand(len(instead), -1, -1)
            now, future = self._worth(seen, continuous, instead)
            of_option = (now + self._gamma * future).T
        of_numbers, _ = self._worth(seen, draw.continuous, choices.joint)
        return of_numbers + choices.expectation(of_option[:, None])[:, 0]

    def _worth(self, seen: Tensor, continuous: Tensor, joint: Tensor) -> tuple[Tensor, Tensor]:
        """Rewards of joint choices (..., B, K, S) and what follows, (..., B) each."""
        rewards, future = self.networks.values(seen, continuous, joint)
        return (rewards * joint).sum(-1).amin(0).sum(-1), joint.shape[-2] * future


class AdSacSet(AdSac):
    """AD-SAC for mllm, whatever the fleet.

    Raises:
        ValueError: the problem is not mllm.
    """

    name: ClassVar[str] = 'ad_sac'
    Hyper: ClassVar[type[Settings]] = AdSacSetHyper
    hyper: AdSacSetHyper

    def __init__(self, problem: Problem, hyper: AdSacSetHyper) -> None:
        if not isinstance(problem, MllmProblem):
            raise ValueError(
                f'ad_sac has networks for mllm, but learns {type(problem).__name__}; '
                'use ad_sac_flat'
            )
        self.settings = problem.environment.scenario.settings
        self.sight = Sight(self.settings)
        super().__init__(problem, hyper)
        self.normaliser = KnownScale(
            self.shape.observation, self.sight.cost_unit / self.shape.devices
        )

    def make_networks(self) -> SetNetworks:
        """Networks of pairs."""
        hyper = self.hyper
        return SetNetworks(self.sight, hyper.hidden[0], hyper.groups, hyper.gamma > 0)

    def make_critic(self) -> Critic:
        """Values of devices where all are settled."""
        return Settled(self.networks, self.target, self.hyper.gamma)

    def see(self, observation: Tensor) -> Tensor:
        """Observations as they are: the features are normalised."""
        return observation

    def explore(self, observation: Tensor) -> Action:
        """Numbers drawn from the policy, and choices drawn one after another."""
        numbers, _ = TanhNormal(*self.networks.gaussian(observation)).rsample()
        at = scene(self.sight, observation.numpy(), numbers.numpy())
        noise = -torch.rand(at.snr.shape).clamp(min=1e-20).log().clamp(min=1e-20).log()
        return Action(torch.from_numpy(self._policy().choose(at, noise.numpy())), numbers)

    def random(self, observation: Tensor) -> Action:
        """Untrained, it is better than random actions, whose outliers would only disturb."""
        return self.explore(observation)

    @torch.no_grad()
    def best(self, observation: Tensor) -> Action:
        """What the policy decides that is exported."""
        choice, continuous = self._policy().answer(
            observation.numpy(),
            lambda numbers: self.sight.mask(observation.numpy(), numbers),
        )
        return Action(torch.from_numpy(choice), torch.from_numpy(continuous))

    def draw(self, observation: Tensor, seen: Tensor) -> Draw:
        """The policy, and an action: numbers first, then the devices, group after group."""
        normal = TanhNormal(*self.networks.gaussian(seen))
        continuous, before = normal.rsample()
        settling = self.networks.settle(seen, continuous)
        mask = self.mask(observation, continuous)
        choices = SettledChoices(settling, mask)
        return Draw(normal, continuous, normal.log_prob(before), settling.scores, choices)

    def policy_arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """A policy of kind `set`."""
        return {'kind': 'set', 'algorithm': self.name}, self.networks.arrays()

    def _policy(self) -> SetPolicy:
        description, arrays = self.policy_arrays()
        return SetPolicy(description, arrays, self.settings)
