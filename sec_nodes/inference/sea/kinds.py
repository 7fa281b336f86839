"""The kinds of questions that can be asked about a scene."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of question: what is asked, and whether the answer is a word or a sentence."""

    name: str
    asks: str
    group: str
    """'short': one to three words; 'long': a list or a sentence."""


KINDS: tuple[Kind, ...] = (
    Kind('count', 'how many ships there are, 0 to 8', 'short'),
    Kind('colour', 'the colour of the largest ship', 'short'),
    Kind('colour_count', 'how many ships have a given colour', 'short'),
    Kind('people', 'how many people are in the water, 0 to 3: objects of three pixels', 'short'),
    Kind('oil', 'whether there is an oil slick', 'short'),
    Kind('oil_place', 'where the oil slick is', 'short'),
    Kind('coast', 'on which side the coast is', 'short'),
    Kind('relation', 'on which side of one ship another lies', 'short'),
    Kind('outermost', 'the colour of the ship farthest to one side', 'short'),
    Kind('nearest', 'the colour of the ship nearest to the oil slick', 'short'),
    Kind('list', 'the colours of all ships from left to right', 'long'),
    Kind('describe', 'everything: ships, people, oil and coast', 'long'),
)

NAMES: tuple[str, ...] = tuple(kind.name for kind in KINDS)
