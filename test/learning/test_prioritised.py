"""Replay by priority: what is drawn how often, with which weight, and that it can be saved."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch')

from sec_nodes.learning.prioritised import SMALLEST_ERROR, Prioritised, SumTree  # noqa: E402
from sec_nodes.learning.problem import Action, Shape, Turn  # noqa: E402

SHAPE = Shape(1, 0, 1, 1)


def transitions(first: int, count: int) -> tuple[torch.Tensor, Action, Turn]:
    """Transitions whose observations are numbered."""
    seen = torch.arange(first, first + count).float().unsqueeze(-1)
    action = Action(torch.zeros(count, 0, dtype=torch.int64), torch.zeros(count, 1))
    over = torch.zeros(count, dtype=torch.bool)
    return seen, action, Turn(torch.zeros(count, 1), seen, over, False)


def filled(
    errors: list[float], capacity: int | None = None, exponents: tuple[float, float] = (0.6, 1.0)
) -> Prioritised:
    replay = Prioritised(SHAPE, capacity or len(errors), exponents)
    replay.add(*transitions(0, len(errors)))
    replay.refresh(torch.arange(len(errors)), torch.tensor(errors))
    return replay


@pytest.mark.parametrize('leaves', [1, 2, 3, 8, 13])
def test_tree_finds_the_leaf_in_which_a_number_falls(leaves):
    weights = torch.tensor([0.0, 2.0, 0.5, 3.0, 0.0, 1.0] * 3)[:leaves] + (leaves == 1)
    tree = SumTree(leaves)
    tree.set(torch.arange(leaves), weights)
    assert float(tree.total) == float(weights.sum())
    ends = weights.cumsum(0)
    below = torch.linspace(0, float(ends[-1]) - 1e-3, 50)
    expected = [int((ends <= number).sum()) for number in below]
    assert tree.find(below).tolist() == expected


def test_tree_follows_changes():
    tree = SumTree(5)
    tree.set(torch.arange(5), torch.ones(5))
    tree.set(torch.tensor([3, 0]), torch.tensor([4.0, 0.0]))
    assert float(tree.total) == 7
    assert tree.find(torch.tensor([0.0, 1.5, 2.5, 6.5])).tolist() == [1, 2, 3, 4]


def test_transitions_are_drawn_as_often_as_their_priorities_say():
    errors = [0.0, 0.5, 1.0, 4.0]
    replay = filled(errors)
    torch.manual_seed(0)
    rows = 40_000
    counts = torch.bincount(replay.draw(rows, 0.4).index, minlength=4)
    p = (torch.tensor(errors) + 1e-3) ** 0.6
    expected = p / p.sum()
    spread = (expected * (1 - expected) / rows).sqrt()
    assert ((counts / rows - expected).abs() < 4 * spread).all()
    assert SMALLEST_ERROR == 1e-3


def test_weights_by_hand():
    # Priorities 1 and 8, P = 1/9 and 8/9: (2 P)^-1/2 is 3 / sqrt 2 and 3 / 4, 1 to sqrt(1/8).
    replay = filled([1 - 1e-3, 8 - 1e-3], exponents=(1.0, 1.0))
    torch.manual_seed(0)
    drawn = replay.draw(50, 0.5)
    assert set(drawn.index.tolist()) == {0, 1}
    expected = torch.where(drawn.index == 0, torch.tensor(1.0), torch.tensor(0.125).sqrt())
    assert torch.allclose(drawn.weight, expected, atol=1e-5)
    assert torch.equal(drawn.batch.observation.squeeze(-1).long(), drawn.index)


def test_two_exponents_in_series_are_their_product():
    draws = []
    for exponents in ((0.6, 0.5), (0.3, 1.0)):
        replay = filled([0.1, 1.0, 3.0], exponents=exponents)
        torch.manual_seed(1)
        draws.append(replay.draw(100, 1.0))
    assert torch.equal(draws[0].index, draws[1].index)
    assert torch.allclose(draws[0].weight, draws[1].weight)


def test_what_is_new_has_the_largest_priority_there_has_been():
    replay = filled([1.0, 15.0], capacity=3, exponents=(1.0, 1.0))
    replay.refresh(torch.tensor([1]), torch.tensor([0.0]))
    replay.add(*transitions(2, 1))
    torch.manual_seed(0)
    counts = torch.bincount(replay.draw(20_000, 0.4).index, minlength=3) / 20_000
    expected = torch.tensor([1.001, 0.001, 15.001])
    assert torch.allclose(counts, expected / expected.sum(), atol=0.01)


def test_the_oldest_makes_room():
    replay = filled([1.0] * 4)
    replay.add(*transitions(4, 3))
    torch.manual_seed(0)
    assert set(replay.draw(200, 0.4).batch.observation.squeeze(-1).tolist()) == {3, 4, 5, 6}


@pytest.mark.parametrize('seen', [3, 11])
def test_saved_and_loaded_it_draws_the_same(seen):
    replay = Prioritised(SHAPE, 8, (0.6, 1.0))
    for number in range(seen):
        replay.add(*transitions(number, 1))
        replay.refresh(torch.tensor([number % 8]), torch.tensor([0.3 * number]))
    other = Prioritised(SHAPE, 8, (0.6, 1.0))
    other.load_state_dict(replay.state_dict())
    draws = []
    for each in (replay, other):
        torch.manual_seed(2)
        each.add(*transitions(seen, 2))
        draws.append(each.draw(64, 0.7))
    assert torch.equal(draws[0].index, draws[1].index)
    assert torch.equal(draws[0].weight, draws[1].weight)
    assert torch.equal(draws[0].batch.observation, draws[1].batch.observation)
