"""Kinds of numbers that scenario settings are made of, with their ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError('the first number must not exceed the second')
    return pair


Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Decibel = Annotated[float, Field(ge=-300, le=300)]
"""Gains, losses and levels; nothing in a radio is beyond that."""
Exponent = Annotated[float, Field(gt=0, le=10)]
"""Of path loss over distance."""
Count = Annotated[int, Field(ge=0)]
Range = Annotated[tuple[NotNegative, NotNegative], AfterValidator(_ascending)]
PositiveRange = Annotated[tuple[Positive, Positive], AfterValidator(_ascending)]
ProbabilityRange = Annotated[tuple[Probability, Probability], AfterValidator(_ascending)]


@dataclass(frozen=True)
class Satellites:
    """How many satellites there are, said as in scenarios that have settings for them."""

    count: int
