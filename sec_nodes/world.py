"""A scenario together with the real models that run in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sec_nodes.inference.codec import encoded_size_bit
from sec_nodes.inference.engine import SplitModel
from sec_nodes.scenarios.survey import Survey
from sec_nodes.scenarios.survey_settings import SurveySettings
from sec_nodes.slot import ModelTable


@dataclass(frozen=True)
class World:
    """What every node of a run agrees on."""

    scenario: Survey
    models: dict[str, SplitModel]

    @property
    def settings(self) -> SurveySettings:
        """Parameters of the scenario."""
        return self.scenario.settings


def build_world(settings: SurveySettings, threads: int = 1) -> World:
    """Load the models that a scenario names and tabulate their cuts.

    Args:
        settings: the scenario.
        threads: threads of ONNX Runtime for one inference.

    Raises:
        ModelError: a model is unknown, missing or damaged.
    """
    names = dict.fromkeys((settings.devices.model, settings.uavs.model, settings.satellites.model))
    models = {name: SplitModel.load(name, threads=threads) for name in names}
    return World(Survey(settings, tabulate(list(models.values()), settings.codec)), models)


def tabulate(models: Sequence[SplitModel], codec: str) -> ModelTable:
    """Accuracy and cuts of models as one padded table.

    Args:
        models: the models, in the order of the table's rows.
        codec: how tensors travel; decides the size of each cut.
    """
    shape = (len(models), max(len(model.cuts) for model in models))
    front_flop, back_flop, cut_bit = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for row, model in enumerate(models):
        for column, cut in enumerate(model.cuts):
            front_flop[row, column] = cut.front_flop
            back_flop[row, column] = cut.back_flop
            cut_bit[row, column] = encoded_size_bit(cut.shape, cut.dtype, codec)
    return ModelTable(
        model_id=tuple(model.id for model in models),
        accuracy=np.array([model.accuracy for model in models]),
        n_cuts=np.array([len(model.cuts) for model in models]),
        front_flop=front_flop,
        back_flop=back_flop,
        cut_bit=cut_bit,
    )
