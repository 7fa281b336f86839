"""What the environments have in common: copies of a scenario behind gymnasium's interfaces.

An environment is written once, for many copies, as a subclass of `ScenarioVectorEnv` that says
how actions are read and observations built. `ScenarioEnv` is one copy of it. All copies begin
together and are truncated together after the scenario's horizon; nothing ever terminates.

Seeds: `reset(seed=s)` gives copy i the seed s + i, as gymnasium's own vector environments do. Its
e-th further episode draws from `episode_seed(s + i, e)`, so a copy sees the same worlds alone and
in any batch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from sec_nodes.config import Settings, suggest
from sec_nodes.physics.randomness import Stream, word_source, words
from sec_nodes.scenarios.base import Scenario
from sec_nodes.scenarios.registry import read_settings, scenario_modes
from sec_nodes.slot import BoolArray, FloatArray, IntArray

StateT = TypeVar('StateT')
DecisionT = TypeVar('DecisionT')
OutcomeT = TypeVar('OutcomeT')
SettingsT = TypeVar('SettingsT', bound=Settings)

_OVERSHOOT = 1e-5
"""How far beyond 1 an action may be by rounding."""

Info = dict[str, Any]
Turn = tuple[FloatArray, FloatArray, BoolArray, BoolArray, Info]
"""Observation (B, n), reward (B,), terminated (B,), truncated (B,) and info."""

_SEED_BITS = np.uint64(2)  # dropped, so that seeds stay below 2^62 whatever is added to them


def episode_seed(seed: IntArray, episode: int) -> IntArray:
    """Seeds (B,) of an episode of copies with seeds (B,); episode 0 is the seeds themselves."""
    if episode == 0:
        return seed
    drawn = words(word_source(seed, Stream.PLACEMENT, 0), episode, np.zeros(1, dtype=np.int64))
    return (drawn[:, 0] >> _SEED_BITS).astype(np.int64)


class ScenarioVectorEnv(VectorEnv[Any, Any, Any], Generic[StateT, DecisionT, OutcomeT]):
    """Many copies of a scenario, stepped together in one process.

    After the step that truncates, the next one ignores its action, begins new episodes and gives
    reward 0: gymnasium's `AutoresetMode.NEXT_STEP`. Arrays that are returned are fresh in every
    step and belong to the caller. In `info` every array has the copy as its first axis.

    Args:
        scenario: the system.
        num_envs: number of copies B.
        observation_space: of one copy.
        action_space: of one copy.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (as gymnasium declares it)
        'render_modes': [],
        'autoreset_mode': AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        scenario: Scenario[StateT, DecisionT, OutcomeT],
        num_envs: int,
        observation_space: spaces.Box,
        action_space: spaces.Space[Any],
    ) -> None:
        if num_envs < 1:
            raise ValueError(f'num_envs is {num_envs}, but must be at least 1')
        self.scenario = scenario
        self.num_envs = num_envs
        self.single_observation_space = observation_space
        self.single_action_space = action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self._base_seed: IntArray | None = None
        self._episode = 0
        self._slot = 0
        self._state: StateT | None = None

    @abstractmethod
    def observe(self, state: StateT) -> FloatArray:
        """Observations (B, n) float32 of states, fresh."""

    @abstractmethod
    def decode(self, state: StateT, action: Any) -> DecisionT:
        """The decision that an action of `action_space` means in a state.

        Raises:
            ValueError: no action of that space.
        """

    @abstractmethod
    def reward(self, state: StateT, outcome: OutcomeT) -> FloatArray:
        """Rewards (B,) of a slot."""

    @abstractmethod
    def describe(self, state: StateT) -> Info:
        """What `info` says about a state, such as masks."""

    @abstractmethod
    def report(self, state: StateT, outcome: OutcomeT) -> Info:
        """What `info` says about a slot that is over; `state` is its start."""

    @property
    def state(self) -> StateT:
        """The states of all copies now.

        Raises:
            ResetNeeded: before the first `reset`.
        """
        if self._state is None:
            raise ResetNeeded('call reset before step')
        return self._state

    @property
    def over(self) -> bool:
        """Whether the episodes have been truncated."""
        return self._slot >= self.scenario.horizon

    def reset(
        self,
        *,
        seed: int | Sequence[int] | IntArray | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[FloatArray, Info]:
        """Begin new episodes in all copies.

        Args:
            seed: s, for s + i in copy i, or a seed for each copy. None goes on with the next
                episodes of the seeds there are, or draws seeds if there are none.
            options: none are known.

        Raises:
            ValueError: negative seeds, or not one for each copy.
        """
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
            self._base_seed, self._episode = int(seed) + np.arange(self.num_envs), 0
        elif seed is not None:
            given = np.array(seed, dtype=np.int64)
            if given.shape != (self.num_envs,) or given.min() < 0:
                raise ValueError(
                    f'seed is {seed}; give {self.num_envs} numbers >= 0, one a copy, or one number'
                )
            self._base_seed, self._episode = given, 0
        elif self._base_seed is None:
            first = int(self.np_random.integers(1 << 62))
            self._base_seed, self._episode = first + np.arange(self.num_envs), 0
        else:
            self._episode += 1
        self._slot = 0
        self._state = self.scenario.reset(episode_seed(self._base_seed, self._episode))
        return self.observe(self._state), self.describe(self._state)

    def step(self, actions: Any) -> Turn:
        """Carry out an action in each copy, or begin new episodes if the last ones are over."""
        if not self.over:
            return self.advance(actions)
        observation, info = self.reset()
        nobody = np.zeros(self.num_envs, dtype=np.bool_)
        reward = np.zeros(self.num_envs, dtype=observation.dtype)
        return observation, reward, nobody, nobody.copy(), info

    def advance(self, actions: Any) -> Turn:
        """As `step`, but never begins new episodes.

        Raises:
            ResetNeeded: before `reset` and after the last slot.
        """
        state = self.state
        if self.over:
            raise ResetNeeded('the episode is over: call reset')
        following, outcome = self.scenario.step(state, self.decode(state, actions))
        self._state = following
        self._slot += 1
        terminated = np.zeros(self.num_envs, dtype=np.bool_)
        truncated = np.full(self.num_envs, self.over)
        info = self.report(state, outcome)
        info.update(self.describe(following))
        return self.observe(following), self.reward(state, outcome), terminated, truncated, info


class ScenarioEnv(gymnasium.Env[Any, Any]):
    """One copy of a scenario: a batch of one without the batch axis.

    Args:
        batch: environment of one copy.
    """

    metadata: dict[str, Any] = {'render_modes': []}  # noqa: RUF012

    def __init__(self, batch: ScenarioVectorEnv[Any, Any, Any]) -> None:
        if batch.num_envs != 1:
            raise ValueError(f'num_envs is {batch.num_envs}; a single environment has one copy')
        self.batch = batch
        self.observation_space = batch.single_observation_space
        self.action_space = batch.single_action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[FloatArray, Info]:
        """Begin a new episode; see `ScenarioVectorEnv.reset`."""
        super().reset(seed=seed)
        observation, info = self.batch.reset(seed=seed, options=options)
        return observation[0], _without_batch(info)

    def step(self, action: Any) -> tuple[FloatArray, float, bool, bool, Info]:
        """Carry out an action.

        Raises:
            ResetNeeded: before `reset` and after the last slot.
        """
        observation, reward, terminated, truncated, info = self.batch.advance(_batched(action))
        return (
            observation[0],
            float(reward[0]),
            bool(terminated[0]),
            bool(truncated[0]),
            _without_batch(info),
        )


def mode_settings(
    scenario: str,
    mode: str | None,
    overrides: Mapping[str, Any] | None,
    kind: type[SettingsT],
) -> SettingsT:
    """Settings of a scenario that ships, in a mode.

    Args:
        scenario: its name.
        mode: one of its modes; None for the file as it stands.
        overrides: values that replace those of the mode, by dotted key.
        kind: class of its settings.

    Raises:
        ValueError: no such mode, or values that are no settings.
    """
    known = scenario_modes(scenario)
    if mode is not None and mode not in known:
        raise ValueError(f'mode is {mode!r}; {suggest(mode, known)}')
    settings = read_settings(scenario if mode is None else f'{scenario}:{mode}', overrides)
    if not isinstance(settings, kind):
        raise TypeError(f'config/scenarios/{scenario}.yaml holds {type(settings).__name__}')
    return settings


def require_unit_range(name: str, action: FloatArray) -> None:
    """Raise ValueError unless every number of an action lies in [-1, 1], rounding apart."""
    # Written so that a NaN fails as well.
    if not np.abs(action).max() <= 1 + _OVERSHOOT:
        raise ValueError(f'{name} must lie in [-1, 1]: clip actions before the step')


def _batched(action: Any) -> Any:
    """An action with a batch axis in front, part by part."""
    if isinstance(action, Mapping):
        return {name: _batched(part) for name, part in action.items()}
    return np.asarray(action)[None]


def _without_batch(info: Info) -> Info:
    """What info says about the only copy."""
    return {name: value[0] for name, value in info.items()}
