"""Networks of AD-SAC that share their weights over all pairs of device and server of mllm.

Fully connected networks, as in Yan et al., Drones 2025, 9, 500, see a slot as one long vector, and
learn anew for each device and server what interference and a queue are. Here

- every pair of device and server has the same network, on features of `controllers.mllm.pairs`;
- the critic is told what the others do: the value of a device at a server depends on the load that
  the joint action puts there, so that minding others pays;
- the discrete actor settles devices one group after another, and scores those that are left beside
  what has been settled.

They work for any number of devices, UAVs and satellites.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import one_hot

from sec_nodes.controllers.mllm.pairs import (
    LARGEST_MOVE,
    N_FEATURES,
    SLIGHT,
    Scene,
    beside,
    first_guess,
    scene,
    scene_at,
    shares,
)
from sec_nodes.controllers.mllm.sight import Seen, Sight

SHARP = 10.0
"""How strongly choices follow estimated costs before anything is learnt [1 / cost unit]."""


class PairNet(nn.Module):
    """One network for all pairs, in which pairs of one server or one device hear of each other.

    Args:
        hidden: width.
        outputs: numbers for each pair.
    """

    def __init__(self, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Linear(N_FEATURES, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.of_server = nn.Linear(hidden, hidden, bias=False)
        self.of_device = nn.Linear(hidden, hidden, bias=False)
        self.of_all = nn.Linear(hidden, hidden, bias=False)
        self.last = nn.Linear(hidden, outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def hidden(self, row: Tensor, weight: Tensor, asks: Tensor) -> Tensor:
        """Hidden (X, K, S, H) from features (X, K, S, F), weights (X, K, S), who asks (X, K)."""
        own = torch.relu(self.first(row))
        server = (own * weight[..., None]).sum(1)
        device = own.mean(2)
        count = asks.sum(1)[:, None].clamp(min=1.0)
        everyone = (device * asks[..., None]).sum(1) / count
        return torch.relu(
            self.second(own)
            + self.of_server(server)[:, None]
            + self.of_device(device)[:, :, None]
            + self.of_all(everyone)[:, None, None]
        )

    def forward(self, row: Tensor, weight: Tensor, asks: Tensor) -> Tensor:
        """Outputs (X, K, S, outputs)."""
        out: Tensor = self.last(self.hidden(row, weight, asks))
        return out


class SetCritic(nn.Module):
    """Reward of each device at each server, given what the others do.

    Args:
        sight: reads observations.
        hidden: width.
    """

    def __init__(self, sight: Sight, hidden: int) -> None:
        super().__init__()
        self.sight = sight
        self.twins = nn.ModuleList([PairNet(hidden, 1) for _ in range(2)])

    def forward(self, at: Scene, weight: Tensor) -> Tensor:
        """Rewards (2, X, K, S) in units of `Sight.cost_unit`, of joint weights (X, K, S)."""
        row, guess = beside(self.sight, at, weight, torch)
        asks = at.seen.asks.to(row.dtype)
        return torch.stack([net(row, weight, asks)[..., 0] - guess.cost for net in self.twins])


class SetFuture(nn.Module):
    """What later slots are worth: queues that are left behind, and where UAVs and satellites are.

    One network for all servers, whose outputs add up. Tasks of later slots are unknown, so nothing
    else about this slot counts.

    Args:
        sight: reads observations.
        hidden: width.
    """

    INPUTS = 7

    def __init__(self, sight: Sight, hidden: int) -> None:
        super().__init__()
        self.sight = sight
        self.net = nn.Sequential(
            nn.Linear(self.INPUTS, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
        )

    def forward(self, at: Scene, weight: Tensor) -> Tensor:
        """Values (X,), a device, in units of `Sight.cost_unit`, of joint weights (X, K, S)."""
        sight, seen = self.sight, at.seen
        work_s = (weight * sight.compute_s(seen, torch)).sum(1)
        left_s = (seen.backlog_s + work_s - sight.settings.slot_s).clamp(min=0.0)
        flat = left_s * 0
        row = torch.stack(
            [
                left_s / 3,
                (left_s / 3).square() / 4,
                flat + torch.as_tensor(sight.is_uav),
                flat + torch.as_tensor(sight.least_accuracy),
                torch.sigmoid(25 * at.inside).mean(1),
                at.inside.mean(1).clamp(-1, 1),
                (seen.stays_s / 443).clamp(max=1.0),
            ],
            -1,
        )
        value: Tensor = self.net(row)[..., 0].sum(-1)
        return value


class Settling(NamedTuple):
    """A joint choice, and how one of the devices came to its own."""

    device: Tensor
    """(X,) the surest device of a random group."""
    scores: Tensor
    """(X, S) its scores when it was its turn."""
    joint: Tensor
    """(X, K, S), one-hot, 0 for devices that do not ask: where all ended up."""


class SetChooser(nn.Module):
    """The discrete actor: settles devices in groups, as `set_policy.SetPolicy` does.

    Args:
        sight: reads observations.
        hidden: width.
    """

    def __init__(self, sight: Sight, hidden: int) -> None:
        super().__init__()
        self.sight = sight
        self.net = PairNet(hidden, 1)
        self.sharpness = nn.Parameter(torch.tensor(SHARP))

    def forward(self, at: Scene, groups: int) -> Settling:
        """Settle slots, group after group, each device at random in proportion to its shares.

        Args:
            at: slots.
            groups: in how many groups devices are settled.
        """
        weight = first_guess(self.sight, at, torch)
        devices, servers = weight.shape[1:]
        size = -(-devices // groups)
        turns = -(-devices // size)
        shown = int(torch.randint(turns, ()))
        is_open = torch.ones(weight.shape[:2], dtype=torch.bool)
        for turn in range(turns):
            with torch.set_grad_enabled(torch.is_grad_enabled() and turn == shown):
                score = self.score(at, weight)
            share = shares(score.detach(), at, torch)
            sure = torch.where(is_open, share.amax(-1), -1.0)
            at_once = sure.topk(min(size, devices - turn * size), 1).indices
            if turn == shown:
                device = at_once[:, 0]
                scores = score[torch.arange(len(device)), device]
            now = torch.zeros_like(is_open).scatter(1, at_once, True)
            some = (share + 1e-9).flatten(0, 1).multinomial(1).view_as(is_open)
            chosen = one_hot(some, servers).to(share.dtype) * at.seen.asks[..., None]
            left = torch.where(is_open[..., None], (weight + share) / 2, weight)
            weight = torch.where(now[..., None], chosen, left)
            is_open = is_open & ~now
        return Settling(device, scores, weight)

    def score(self, at: Scene, weight: Tensor) -> Tensor:
        """Scores (X, K, S) beside joint weights (X, K, S)."""
        row, guess = beside(self.sight, at, weight, torch)
        learnt: Tensor = self.net(row, weight, at.seen.asks.to(row.dtype))[..., 0]
        return learnt - self.sharpness * (guess.cost + guess.toll)


class SetMover(nn.Module):
    """The continuous actor: a power for each device, a move for each UAV.

    A UAV goes towards a weighted middle of the devices; the weights are learnt.

    Args:
        sight: reads observations.
        hidden: width.
    """

    HEADS = 4

    def __init__(self, sight: Sight, hidden: int) -> None:
        super().__init__()
        self.sight = sight
        self.net = PairNet(hidden, hidden)
        self.power = nn.Linear(hidden, 2)
        self.attention = nn.Linear(hidden, self.HEADS)
        self.mix = nn.Linear(hidden, self.HEADS + 1)
        self.spread = nn.Parameter(torch.tensor(-1.0))
        nn.init.kaiming_uniform_(self.net.last.weight, a=5**0.5)
        nn.init.zeros_(self.power.weight)
        with torch.no_grad():
            self.power.bias.copy_(torch.tensor([1.5, -1.0]))

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Means and logarithms of deviations (X, K + 2 M), before tanh."""
        seen = self.sight.see(observation, torch)
        at = scene_at(self.sight, seen, torch.ones_like(seen.size_bit), seen.uav, torch)
        weight = first_guess(self.sight, at, torch)
        row, _ = beside(self.sight, at, weight, torch)
        hidden = torch.relu(self.net(row, weight, seen.asks.to(row.dtype)))
        power = self.power((hidden * weight[..., None]).sum(2))
        mean, way = power[..., 0], self._way(seen, hidden, weight)
        log_std = power[..., 1]
        pre = torch.atanh(way.clamp(-LARGEST_MOVE, LARGEST_MOVE)).flatten(1)
        return (
            torch.cat([mean, pre], -1),
            torch.cat([log_std, self.spread.expand_as(pre)], -1),
        )

    def _way(self, seen: Seen, hidden: Tensor, weight: Tensor) -> Tensor:
        """Moves (X, M, 2) in [-1, 1]."""
        sight, uav = self.sight, seen.uav
        of_uav = hidden[:, :, : sight.m]
        attention = self.attention(of_uav) + (weight[:, :, : sight.m] + SLIGHT).log()[..., None]
        attention = attention.softmax(1)
        offset = seen.device[:, :, None] - uav[:, None]
        middles = torch.einsum('bkmh,bkmx->bmhx', attention, offset)
        mix = self.mix(of_uav.mean(1)).softmax(-1)[..., :-1]
        goal = (mix[..., None] * middles).sum(2)
        if sight.step_m is None:
            return 2 * (uav + goal) - 1
        step = goal * torch.as_tensor(sight.area_m / sight.step_m)
        return step / step.norm(dim=-1, keepdim=True).clamp(min=1.0)


class SetNetworks(nn.Module):
    """The networks of AD-SAC for mllm; those of other problems are `flat_networks.FlatNetworks`.

    `seen` is observations as they are. Values are in units of a task's usual cost, shared out as
    the reward is: among the devices that ask.

    Args:
        sight: reads observations.
        hidden: width of all networks.
        groups: in which the discrete actor settles devices while it learns.
        looks_ahead: whether what follows a slot counts.

    """

    def __init__(self, sight: Sight, hidden: int, groups: int, looks_ahead: bool) -> None:
        super().__init__()
        self.sight, self.groups = sight, groups
        self.chooser = SetChooser(sight, hidden)
        self.mover = SetMover(sight, hidden)
        self.critic = SetCritic(sight, hidden)
        self.future = SetFuture(sight, hidden) if looks_ahead else None

    def settle(self, seen: Tensor, continuous: Tensor) -> Settling:
        """A joint choice at observations (B, n) with continuous parts (B, D)."""
        found: Settling = self.chooser(self._scene(seen, continuous), self.groups)
        return found

    def gaussian(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Means and logarithms of deviations (B, D), before tanh."""
        found: tuple[Tensor, Tensor] = self.mover(seen)
        return found

    def values(self, seen: Tensor, continuous: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """What joint weights (..., B, K, S) are worth, from twin critics.

        Returns:
            Rewards (2, ..., B, K, S) of this slot, device by device, and the value (..., B) of
            what follows, a device.
        """
        at = self._scene(seen, continuous)
        asks = at.seen.asks[..., None]
        share = asks.shape[1] / asks.sum(1, keepdim=True).clamp(min=1)
        weight = weights.flatten(0, -3) * asks
        rewards: Tensor = self.critic(at, weight) * (share * asks)
        future = rewards.new_zeros(len(weight)) if self.future is None else self.future(at, weight)
        rows = continuous.shape[:-1]
        return rewards.unflatten(1, rows), future.unflatten(0, rows)

    def actor_parameters(self) -> list[nn.Parameter]:
        """Of `scores` and `gaussian`."""
        return [*self.chooser.parameters(), *self.mover.parameters()]

    def critic_parameters(self) -> list[nn.Parameter]:
        """Of `values`."""
        ahead = [] if self.future is None else self.future.parameters()
        return [*self.critic.parameters(), *ahead]

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """What `controllers.mllm.set_policy` decides with."""
        found: dict[str, NDArray[np.float32]] = {'sharpness': _array(self.chooser.sharpness)}
        nets = {'chooser_': self.chooser.net, 'mover_': self.mover.net}
        layers = {
            prefix + name: layer for prefix, net in nets.items() for name, layer in _layers(net)
        }
        layers |= dict(_layers(self.mover))
        for name, layer in layers.items():
            found[f'{name}_w'] = np.ascontiguousarray(_array(layer.weight).T)
            if layer.bias is not None:
                found[f'{name}_b'] = _array(layer.bias)
        return found

    def _scene(self, seen: Tensor, continuous: Tensor) -> Scene:
        rows = seen.expand(*continuous.shape[:-1], -1).flatten(0, -2)
        return scene(self.sight, rows, continuous.flatten(0, -2), torch)


def _layers(net: nn.Module) -> list[tuple[str, nn.Linear]]:
    """The linear layers that a module has itself, by name."""
    return [(name, part) for name, part in net.named_children() if isinstance(part, nn.Linear)]


def _array(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().numpy().copy()
    return array
