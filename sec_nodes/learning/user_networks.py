"""Networks of robust that users share, and UAVs share: for any number of either.

The actor scores every pair of UAV and split of every user by one small network on physical
features (`controllers.robust.sight`), beside the load that the others put on the UAV, in a few
rounds. The best pair of each user becomes the means of its numbers: the split's number in [-1, 1],
and 1 for its UAV and -1 for the others. Where a task moves to and how a UAV accelerates are said
by networks of their own. Deviations are common to all numbers of a kind.

Critics value users and flights apart: each user's task by its own features where the joint action
puts it, as the environment would read it, and the flights by where they lead. Reading an action
has steps; gradients pass through straight lines in their place.

The letters in the shapes are B rows, I users, J UAVs and C splits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from sec_nodes.controllers.robust.sight import (
    NEAR_M,
    ROUNDS,
    SCORE_LIMIT,
    STANDING,
    Looker,
    Sight,
)
from sec_nodes.learning.distributions import FORBIDDEN
from sec_nodes.learning.networks import Stacked, mlp
from sec_nodes.learning.number_networks import NumberNetworks
from sec_nodes.physics.energy import RotaryWing
from sec_nodes.scenarios.robust import Robust
from sec_nodes.scenarios.robust.settings import RobustSettings

_FIRST_STD = {'split': -3.5, 'association': -1.0, 'migration': -0.5, 'acceleration': -1.0}
"""Logarithms of the deviations at first: neighbouring splits are 0.1 apart."""
_SOFT = 0.25
"""Difference of scores that straight lines in place of the largest one take for large."""


class UserNetworks(NumberNetworks):
    """Actor and critics of users and UAVs.

    Args:
        scenario: the system.
        hidden: width of the networks of pairs and users, and of those of UAVs.
        critics: n.
        gamma: discount a slot.
    """

    def __init__(
        self, scenario: Robust, hidden: tuple[int, int], critics: int, gamma: float
    ) -> None:
        super().__init__()
        self.looker = Looker(scenario)
        self.parts = scenario.settings.users.count + 1
        self.actor = UserActor(scenario.settings, hidden)
        unit_j = self.looker.unit_j
        self.critic = UserCritic(scenario.settings, hidden, critics, unit_j, gamma)

    def see(self, observation: Tensor) -> Sight:
        """Physical features, as tensors."""
        seen = self.looker(observation.numpy())
        return Sight(*(torch.from_numpy(part) for part in seen))

    def policy_arrays(self, algorithm: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """A policy of kind `user`."""
        return {'kind': 'user', 'algorithm': algorithm}, self.actor.arrays()


class Pairs(NamedTuple):
    """Where the actor would have each user."""

    shares: Tensor
    """(B, I, J, C) probabilities of the pairs."""
    chosen: Tensor
    """(B, I, J, C) 1 for the best pair, with the gradient of `shares`."""
    load: Tensor
    """(B, J) part of each UAV that is needed with these probabilities."""


class Space(nn.Module):
    """Where UAVs fly, and how fast they stop.

    Args:
        settings: of the scenario.
    """

    half_m: Tensor
    """(3,) half of its sides, 1 if there is nothing between them [m]."""
    braking: Tensor
    """(3,) way from the largest speed to a stand, in units of these."""

    def __init__(self, settings: RobustSettings) -> None:
        super().__init__()
        uavs = settings.uavs
        high_m = uavs.altitude_m[1] - uavs.altitude_m[0]
        half_m = torch.tensor([*settings.area_m, high_m or 2.0]) / 2
        way_m = uavs.speed_m_s**2 / (2 * uavs.acceleration_m_s2)
        self.register_buffer('half_m', half_m)
        self.register_buffer('braking', way_m / half_m)


class UserActor(nn.Module):
    """Means and deviations of all numbers.

    Args:
        settings: of the scenario.
        hidden: width of networks of pairs, and of UAVs.
    """

    def __init__(self, settings: RobustSettings, hidden: tuple[int, int]) -> None:
        super().__init__()
        self.pair = mlp((5, hidden[0], 1))
        self.move = mlp((4, hidden[0], 1))
        self.fly = mlp((UAV_FEATURES, hidden[1], hidden[1], 3))
        for first_idle in (self.pair, self.move, self.fly):
            nn.init.zeros_(first_idle[-1].weight)
            nn.init.zeros_(first_idle[-1].bias)
        self.sharpness = nn.Parameter(torch.tensor(20.0))
        self.crowding = nn.Parameter(torch.tensor(5.0))
        self.log_std = nn.Parameter(torch.tensor(list(_FIRST_STD.values())))
        users, uavs = settings.users.count, settings.uavs.count
        self.register_buffer(
            'kind', torch.arange(4).repeat_interleave(
                torch.tensor([users, users * uavs, users * uavs, 3 * uavs])
            ),
        )  # fmt: skip
        self.space = Space(settings)

    def forward(self, seen: Sight) -> tuple[Tensor, Tensor]:
        """(B, D) each."""
        pairs = self.settle(seen)
        at = pairs.chosen.sum(-1)
        split = (pairs.chosen.sum(-2) * seen.centre).sum(-1)
        means = [
            torch.atanh(split.clamp(-0.999, 0.999)),
            (2 * at - 1).flatten(1),
            self._migration(seen, pairs).flatten(1),
            self._acceleration(seen, pairs.shares.sum(-1)).flatten(1),
        ]
        mean = torch.cat(means, -1)
        return mean, self.log_std[self.kind].expand_as(mean)

    def settle(self, seen: Sight) -> Pairs:
        """Score the pairs, each user beside what all others did in the round before."""
        taken = torch.zeros_like(seen.energy[..., 0])
        with torch.no_grad():
            for _ in range(ROUNDS - 1):
                taken = (self._shares(seen, taken) * seen.least).sum(-1)
        shares = self._shares(seen, taken)
        flat = shares.flatten(2)
        best = one_hot(flat.argmax(-1), flat.shape[-1]).float().view_as(shares)
        load = (shares * seen.least).sum((1, 3))
        return Pairs(shares, best + shares - shares.detach(), load)

    def _shares(self, seen: Sight, taken: Tensor) -> Tensor:
        """(B, I, J, C) probabilities beside what all take of the UAVs, (B, I, J)."""
        others = (taken.sum(1, keepdim=True) - taken).unsqueeze(-1)
        load = others + seen.least
        features = torch.stack([seen.energy, seen.demand, seen.least, seen.possible, load], -1)
        cost = seen.energy + self.crowding * (load - 1).relu()
        scores = self.pair(features).squeeze(-1) - self.sharpness * cost
        scores = scores.masked_fill(seen.exists.unsqueeze(2) <= 0, FORBIDDEN)
        return scores.flatten(2).softmax(-1).view_as(scores)

    def _migration(self, seen: Sight, pairs: Pairs) -> Tensor:
        """(B, I, J) where tasks are to move: how fast, how full, how much it would take there."""
        at = pairs.shares.sum(-1)
        splits = pairs.shares.sum(-2)
        link = at @ seen.link
        there = torch.einsum('bic,bijc->bij', splits, seen.least)
        load = pairs.load.unsqueeze(1).expand_as(link)
        alive = seen.alive.unsqueeze(1).expand_as(link)
        scores = self.move(torch.stack([link, load, there, alive], -1)).squeeze(-1)
        return SCORE_LIMIT * scores.tanh()

    def _acceleration(self, seen: Sight, at: Tensor) -> Tensor:
        """(B, J, 3) said as seen from the UAV, so that a constant one means a circle."""
        said = self.fly(uav_features(seen, at, self.space))
        flat = turned_back(said[..., :2], heading(seen.velocity))
        return torch.cat([flat, said[..., 2:]], -1)

    def arrays(self) -> dict[str, Any]:
        """What `controllers.robust.graph` makes a network of."""
        found = {name: array(getattr(self, name)) for name in ('sharpness', 'crowding')}
        found |= {name: array(getattr(self.space, name)) for name in ('half_m', 'braking')}
        for prefix in ('pair', 'move', 'fly'):
            layers = [part for part in getattr(self, prefix) if isinstance(part, nn.Linear)]
            for number, layer in enumerate(layers):
                found[f'{prefix}_w{number}'] = array(layer.weight.T.contiguous())
                found[f'{prefix}_b{number}'] = array(layer.bias)
        return found


UAV_FEATURES = 15


def uav_features(seen: Sight, at: Tensor, space: Space) -> Tensor:
    """(B, J, F) what a UAV has to know to fly: its motion, borders, users and neighbours.

    Args:
        seen: the slot.
        at: (B, I, J) probability of each user to be its.
        space: where it flies.
    """
    towards = seen.user.unsqueeze(2) - seen.uav[..., :2].unsqueeze(1)
    work = (at * seen.energy.amin(-1)).unsqueeze(-1)
    asked = work.sum(1)
    pull = (work * towards).sum(1) / (asked + 1e-3)
    apart_m = (seen.uav.unsqueeze(2) - seen.uav.unsqueeze(1)) * space.half_m
    distance_m = (apart_m.square().sum(-1, keepdim=True) + 1e-3).sqrt()
    near = (-distance_m / NEAR_M).exp() * seen.alive[:, None, :, None]
    push = (near * apart_m / distance_m).sum(2)
    speed = (seen.velocity.square().sum(-1, keepdim=True) + 1e-6).sqrt()
    stop = seen.uav + seen.velocity * seen.velocity.abs() * space.braking
    overrun = (stop - 1).relu() - (-1 - stop).relu()
    ahead = heading(seen.velocity)
    flat = [turned(vector[..., :2], ahead) for vector in (seen.uav, overrun, pull, push)]
    up = [vector[..., 2:] for vector in (seen.velocity, seen.uav, overrun, push)]
    alive = seen.alive.unsqueeze(-1)
    return torch.cat([*flat, *up, speed, asked / 10, alive], -1)


def heading(velocity: Tensor) -> Tensor:
    """(B, J, 2) where UAVs fly: of length 1 but for slow ones; those that stand look east."""
    flat = velocity[..., :2] + torch.tensor([STANDING[0], 0.0])
    return flat / (flat.square().sum(-1, keepdim=True) + STANDING[1]).sqrt()


def turned(vectors: Tensor, ahead: Tensor) -> Tensor:
    """Vectors (B, J, 2) as seen from UAVs: ahead and to the left."""
    x, y = vectors.unbind(-1)
    cos, sin = ahead.unbind(-1)
    return torch.stack([x * cos + y * sin, y * cos - x * sin], -1)


def turned_back(vectors: Tensor, ahead: Tensor) -> Tensor:
    """The inverse of `turned` where headings have length 1."""
    return turned(vectors, ahead * torch.tensor([1.0, -1.0]))


class UserCritic(nn.Module):
    """Values (n, B, I + 1) of the tasks and of the flights.

    Args:
        settings: of the scenario.
        hidden: width of the networks of users, and of UAVs.
        count: n.
        unit_j: energy of a usual task [J].
        gamma: discount a slot.
    """

    def __init__(
        self,
        settings: RobustSettings,
        hidden: tuple[int, int],
        count: int,
        unit_j: float,
        gamma: float,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.task = Stacked(count, (8, 2 * hidden[0], 2 * hidden[0], 1))
        self.flight = Stacked(count, (UAV_FEATURES + 8, hidden[1], hidden[1], 1))
        self.space = Space(settings)
        self.wing = RotaryWing(**settings.uavs.propulsion.model_dump())
        self.unit_j = unit_j
        ahead = gamma / (1 - gamma)
        self.persistence = nn.Parameter(torch.tensor([1.0, gamma, ahead]))

    def forward(self, seen: Sight, numbers: Tensor) -> Tensor:
        """(n, B, I + 1)."""
        rows, users, uavs, _ = seen.energy.shape
        split, association, migration, acceleration = numbers.split(
            [users, users * uavs, users * uavs, 3 * uavs], -1
        )
        cut = taken_split(split, seen)
        at = largest(association.view(rows, users, uavs), seen.alive.unsqueeze(1))
        others = seen.alive.unsqueeze(1) * (1 - at.detach())
        backup = largest(migration.view(rows, users, uavs), others)
        tasks = self._tasks(seen, cut, at, backup)
        flights = self._flights(seen, at, acceleration.view(rows, uavs, 3))
        return torch.cat([tasks, flights.unsqueeze(-1)], -1)

    def _tasks(self, seen: Sight, cut: Tensor, at: Tensor, backup: Tensor) -> Tensor:
        """(n, B, I)."""
        tables = torch.stack([seen.energy, seen.demand, seen.least, seen.possible], -1)
        tables = tables.flatten(2, 3)
        pair = (at.unsqueeze(-1) * cut.unsqueeze(-2)).flatten(2)
        energy, demand, least, possible = (pair.unsqueeze(-2) @ tables).squeeze(-2).unbind(-1)
        load = (at * least.unsqueeze(-1)).sum(1)
        own_load = (at * load.unsqueeze(1)).sum(-1)
        link = ((at @ seen.link) * backup).sum(-1)
        moved = (backup.unsqueeze(-1) * cut.unsqueeze(-2)).flatten(2)
        there = (moved * tables[..., 2]).sum(-1)
        backup_load = (backup * load.unsqueeze(1)).sum(-1)
        features = torch.stack(
            [energy, demand, least, possible, own_load, link, there, backup_load], -1
        )
        values = self.task(features.flatten(0, 1)).view(-1, *energy.shape)
        return values - energy * possible

    def _flights(self, seen: Sight, at: Tensor, acceleration: Tensor) -> Tensor:
        """(n, B): of where UAVs will be, at which speed, and what they cost now."""
        uavs, slot_s = self.settings.uavs, self.settings.slot_s
        pushed = _shortened(acceleration * uavs.acceleration_m_s2, uavs.acceleration_m_s2)
        now_m_s = seen.velocity * uavs.speed_m_s
        then_m_s = _shortened(now_m_s + pushed * slot_s, uavs.speed_m_s)
        place = seen.uav + 0.5 * (now_m_s + then_m_s) * slot_s / self.space.half_m
        beyond = (place.abs() - 1).relu() * self.space.half_m / 10
        then = seen._replace(uav=place.clamp(-1, 1), velocity=then_m_s / uavs.speed_m_s)
        work = at * seen.energy.amin(-1) / 10
        distance = self._distance_m(seen, then.uav) / 500
        known = torch.stack(
            [self._power(now_m_s), self._power(then_m_s), self._uploads(seen, at, then.uav)], -1
        )
        features = torch.cat(
            [
                uav_features(then, at, self.space),
                beyond,
                (work * distance).sum(1).unsqueeze(-1),
                (work * distance.pow(3)).sum(1).unsqueeze(-1),
                known,
            ],
            -1,
        )
        learnt = self.flight(features.flatten(0, 1)).view(-1, *seen.alive.shape)
        return ((learnt - known @ self.persistence) * seen.alive).sum(-1)

    def _distance_m(self, seen: Sight, uav: Tensor) -> Tensor:
        """(B, I, J) between users and UAVs at places (B, J, 3), less the lowest altitude."""
        across = (seen.user.unsqueeze(2) - uav[..., :2].unsqueeze(1)) * self.space.half_m[:2]
        low_m, high_m = self.settings.uavs.altitude_m
        height_m = uav[..., 2] * self.space.half_m[2] + (low_m + high_m) / 2
        return (across.square().sum(-1) + height_m.square().unsqueeze(1)).sqrt()

    def _uploads(self, seen: Sight, at: Tensor, uav: Tensor) -> Tensor:
        """(B, J) how much dearer uploads become if UAVs move to places (B, J, 3).

        Of first order: the best times stay as they are, and energy goes with d^chi, (14).
        """
        ratio = self._distance_m(seen, uav) / self._distance_m(seen, seen.uav)
        exponent = self.settings.radio.path_loss_exponent
        return exponent * (at * seen.sent * ratio.log()).sum(1)

    def _power(self, velocity_m_s: Tensor) -> Tensor:
        """(B, J) propulsion of a slot at velocities (B, J, 3), (2), in units of a usual task."""
        wing = self.wing
        square = velocity_m_s.square().sum(-1) + 1e-6
        parasite = 0.5 * wing.drag_ratio * wing.air_density_kg_m3 * wing.solidity
        x = square / (2 * wing.induced_speed_m_s**2)
        power_w = (
            parasite * wing.disc_area_m2 * square.pow(1.5)
            + wing.blade_power_w * (1 + 3 * square / wing.tip_speed_m_s**2)
            + wing.induced_power_w * (1 / ((1 + x.square()).sqrt() + x)).sqrt()
        )
        weight = self.settings.objective.flight_weight * self.settings.slot_s
        return power_w * (weight / self.unit_j)


def taken_split(numbers: Tensor, seen: Sight) -> Tensor:
    """(B, I, C) 1 for the split that numbers (B, I) mean, with the gradient of a line between."""
    count = seen.exists.sum(-1)
    at = (numbers + 1) * 0.5 * count
    column = torch.arange(seen.exists.shape[-1])
    step = torch.minimum(at.detach().floor(), count - 1).clamp(min=0)
    exact = (column == step.unsqueeze(-1)).float()
    between = (1 - (at.unsqueeze(-1) - 0.5 - column).abs()).clamp(min=0) * seen.exists
    return exact + between - between.detach()


def largest(scores: Tensor, allowed: Tensor) -> Tensor:
    """(B, I, J) 1 for the largest of the allowed scores, with the gradient of a softmax.

    Args:
        scores: (B, I, J).
        allowed: broadcasts to them, 1 for allowed; all 0 gives anyone.
    """
    soft = (scores / _SOFT).masked_fill(allowed <= 0, FORBIDDEN).softmax(-1)
    return one_hot(soft.argmax(-1), soft.shape[-1]).float() + soft - soft.detach()


def _shortened(vectors: Tensor, limit: float) -> Tensor:
    """Vectors (..., 3) no longer than a limit."""
    length = (vectors.square().sum(-1, keepdim=True) + 1e-9).sqrt()
    return vectors * (limit / length).clamp(max=1.0)


def array(tensor: Tensor) -> Any:
    """As numpy has it, a copy."""
    return tensor.detach().numpy().copy()
