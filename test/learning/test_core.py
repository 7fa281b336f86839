"""Networks, normaliser, optimiser and replay."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch')

from torch import nn  # noqa: E402

from sec_nodes.learning.networks import (  # noqa: E402
    Descent,
    Mlp,
    Normaliser,
    Stacked,
    blend,
    flat_arrays,
    mlp,
    rough_products,
)
from sec_nodes.learning.problem import Action, Shape, Turn  # noqa: E402
from sec_nodes.learning.replay import Replay  # noqa: E402


def layer_by_layer(weights: list, biases: list, inputs: torch.Tensor) -> torch.Tensor:
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        inputs = (inputs @ weight + bias).clamp(min=0)
    return inputs @ weights[-1] + biases[-1]


def test_mlp_computes_its_layers():
    network = mlp((3, 8, 8, 2))
    inputs = torch.randn(5, 3)
    assert torch.allclose(network(inputs), nn.Sequential(*network)(inputs))
    assert [type(layer) for layer in network] == [
        nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear
    ]  # fmt: skip


def test_stacked_networks_compute_each_on_its_own():
    networks, inputs = Stacked(2, (3, 8, 8, 4)), torch.randn(5, 3)
    outputs = networks(inputs)
    for n in range(2):
        weights = [weight[n] for weight in networks.weights]
        biases = [bias[n] for bias in networks.biases]
        assert torch.allclose(outputs[n], layer_by_layer(weights, biases, inputs), atol=1e-6)
    assert not torch.allclose(outputs[0], outputs[1])


def test_stacked_networks_on_joined_inputs():
    networks, left, right = Stacked(2, (5, 8, 3)), torch.randn(4, 3), torch.randn(6, 4, 2)
    joined = torch.stack([networks(torch.cat([left, one], -1)) for one in right], 1)
    assert torch.allclose(networks.outer(left, right), joined, atol=1e-6)


def test_gradients_of_fast_forward_passes():
    network, inputs = Stacked(2, (2, 4, 4, 1)).double(), torch.randn(3, 2).double()
    inputs.requires_grad_()
    assert torch.autograd.gradcheck(network, inputs)
    assert torch.autograd.gradcheck(Mlp((2, 4, 4, 1)).double(), inputs)


def test_descent_is_adam():
    torch.manual_seed(0)
    start = [torch.randn(5, 3), torch.randn(4)]
    ours = [value.clone() for value in start]
    theirs = [nn.Parameter(value.clone()) for value in start]
    descent, adam = Descent(ours, 1e-2, largest_norm=0.5), torch.optim.Adam(theirs, lr=1e-2)
    for _ in range(10):
        gradients = [torch.randn_like(value) for value in start]
        descent.apply(gradients)
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient.clone()
        nn.utils.clip_grad_norm_(theirs, 0.5)
        adam.step()
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_rough_products_are_near_and_end():
    networks, inputs = Stacked(2, (64, 64, 64, 4)), torch.randn(256, 64)
    exact = networks(inputs)
    with rough_products():
        rough = networks(inputs)
    assert (rough - exact).abs().max() < 0.02 * exact.abs().max()
    assert torch.equal(networks(inputs), exact)


def test_blend_moves_by_tau():
    target, source = [torch.zeros(2)], [torch.ones(2)]
    blend(target, source, 0.25)
    blend(target, source, 0.25)
    assert target[0].tolist() == [0.4375, 0.4375]


def test_normaliser_measures_and_clips():
    normaliser = Normaliser(2)
    normaliser.measure(
        torch.tensor([[1.0, 5.0], [3.0, 5.0]]), torch.tensor([[1.0, 1.0], [3.0, 3.0]])
    )
    # Mean 2, deviation 1; a constant keeps the smallest deviation. Rewards 2 and 6 deviate by 2.
    assert normaliser(torch.tensor([4.0, 5.001])).tolist() == pytest.approx([2, 1], rel=1e-3)
    assert normaliser(torch.tensor([-400.0, 9.0])).tolist() == [-10, 10]
    assert normaliser.reward(torch.tensor([3.0])).item() == 1.5


def test_constant_rewards_keep_their_scale():
    normaliser = Normaliser(1)
    normaliser.measure(torch.zeros(4, 1), torch.full((4, 2), -7.0))
    assert normaliser.reward_scale == 1


def test_arrays_of_a_network_compute_it():
    network, inputs = mlp((3, 4, 2)), torch.randn(5, 3)
    arrays = flat_arrays(network, 7)
    assert sorted(arrays) == ['n7_b0', 'n7_b1', 'n7_w0', 'n7_w1']
    hidden = (inputs.numpy() @ arrays['n7_w0'] + arrays['n7_b0']).clip(min=0)
    computed = hidden @ arrays['n7_w1'] + arrays['n7_b1']
    assert computed == pytest.approx(network(inputs).detach().numpy(), abs=1e-6)


SHAPE = Shape(2, 1, 3, 1)


def add(replay: Replay, first: int, rows: int) -> None:
    """Transitions whose numbers all count up from `first`."""
    count = torch.arange(first, first + rows)
    column = count.float().unsqueeze(-1)
    action = Action(count.unsqueeze(-1) % 3, column)
    turn = Turn(column, column.expand(-1, 2) + 1, count % 2 == 0, False)
    replay.add(column.expand(-1, 2), action, turn)


def test_replay_keeps_the_latest_and_their_parts_together():
    replay = Replay(SHAPE, 5)
    for first in (0, 3, 6):
        add(replay, first, 3)
    kept = replay.everything()
    assert len(replay) == 5
    assert replay.seen == 9
    assert sorted(kept.reward.flatten().tolist()) == [4, 5, 6, 7, 8]
    batch = replay.sample(64)
    number = batch.reward
    assert torch.equal(batch.observation, number.expand(-1, 2))
    assert torch.equal(batch.next_observation, number.expand(-1, 2) + 1)
    assert torch.equal(batch.choice, number.long() % 3)
    assert torch.equal(batch.continuous, number)
    assert torch.equal(batch.terminated, 1 - number.squeeze(-1) % 2)
    assert len(set(number.flatten().tolist())) == 5


def test_replay_goes_on_where_it_was():
    replay, again = Replay(SHAPE, 5), Replay(SHAPE, 5)
    add(replay, 0, 3)
    again.load_state_dict(replay.state_dict())
    for each in (replay, again):
        add(each, 3, 4)
    for one, other in zip(replay.everything(), again.everything(), strict=True):
        assert torch.equal(one, other)


def test_replay_of_another_capacity_is_refused():
    replay = Replay(SHAPE, 5)
    add(replay, 0, 5)
    with pytest.raises(ValueError, match='buffer'):
        Replay(SHAPE, 6).load_state_dict({**replay.state_dict(), 'seen': 9})
