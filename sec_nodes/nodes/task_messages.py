"""Tasks, what travels for them, and how they end, as messages and back.

What cannot be used raises `BadMessageError`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sec_nodes.inference.codec import TensorPacket
from sec_nodes.loop.ledger import Answer, Asked, Energy, Outcome, Task, Timing, Writing
from sec_nodes.nodes.base import BadMessageError
from sec_nodes.slot import DECLINED
from sec_offload import msg


def task_from(message: msg.TaskRequest, slot: int) -> Task:
    """A task from a device's request."""
    return Task(
        task_id=message.task_id,
        device_id=message.device_id,
        slot=slot,
        created_s=message.created_s,
        deadline_s=message.deadline_s,
        accuracy=message.accuracy,
        answer_bit=message.answer_bit,
        prompt=message.prompt,
        input_bit=message.input_bit,
        steps=message.steps,
    )


def request_from(task: Task) -> msg.TaskRequest:
    """A device's request from a task."""
    return msg.TaskRequest(
        task_id=task.task_id,
        device_id=task.device_id,
        created_s=task.created_s,
        deadline_s=task.deadline_s,
        accuracy=task.accuracy,
        answer_bit=task.answer_bit,
        prompt=task.prompt,
        input_bit=task.input_bit,
        steps=task.steps,
    )


def timing_message(timing: Timing) -> msg.TaskTiming:
    """Where the time went, as a message."""
    return msg.TaskTiming(**vars(timing))


def energy_message(energy: Energy) -> msg.TaskEnergy:
    """Where the energy went, as a message."""
    return msg.TaskEnergy(**vars(energy))


def answer_from(message: msg.TaskReport) -> Answer:
    """A device's answer from its report.

    Raises:
        BadMessageError: times or energies that are not finite.
    """
    timing = Timing(
        **{name: getattr(message.timing, name) for name in Timing.__dataclass_fields__}
    )
    energy = Energy(
        **{name: getattr(message.energy, name) for name in Energy.__dataclass_fields__}
    )
    times_s = (message.answered_s, message.first_token_s)
    numbers = [*vars(timing).values(), *vars(energy).values(), *times_s]
    if not np.all(np.isfinite(numbers)):
        raise BadMessageError(
            f'report on task {message.task_id} holds a time or energy without value'
        )
    return Answer(
        answer=message.answer,
        truth=message.truth,
        confidence=message.confidence,
        asked=Asked(message.prompt, message.question_kind, message.picture),
        writing=Writing(message.tokens, message.batch, message.first_token_s),
        answered_s=message.answered_s,
        observed_s=message.observed_s,
        front_inference_s=message.front_inference_s,
        back_inference_s=message.back_inference_s,
        timing=timing,
        energy=energy,
    )


def outcome_message(
    outcome: Outcome, server_name: str, accuracy: float, declined: bool
) -> msg.TaskOutcome:
    """How a task ended, as a message.

    Args:
        outcome: from the ledger.
        server_name: name of the server of the last try; empty if it was never sent out.
        accuracy: held-out accuracy of the model of the last try.
        declined: whether a controller gave the task up.
    """
    task, last, answer = outcome.task, outcome.last_try, outcome.answer
    message = msg.TaskOutcome(
        task_id=task.task_id,
        device_id=task.device_id,
        slot=task.slot,
        status=int(outcome.status),
        reason=outcome.reason,
        server=DECLINED if last is None or declined else last.server,
        server_name=server_name,
        attempts=outcome.attempts,
        accuracy_required=task.accuracy,
        created_s=task.created_s,
        deadline_s=task.deadline_s,
        prompt=task.prompt,
    )
    if last is not None:
        message.controller, message.model_id = last.controller, last.model_id
        message.split, message.power_w = last.split, last.power_w
    if answer is not None:
        message.accuracy = accuracy
        message.answer, message.truth = answer.answer, answer.truth
        message.confidence = answer.confidence
        message.question_kind, message.picture = answer.asked.question_kind, answer.asked.picture
        message.tokens, message.batch = answer.writing.tokens, answer.writing.batch
        if answer.writing.tokens:
            message.first_token_s = answer.writing.first_token_s - task.created_s
        message.latency_s = answer.answered_s - task.created_s
        message.observed_s = answer.observed_s - task.created_s
        message.front_inference_s = answer.front_inference_s
        message.back_inference_s = answer.back_inference_s
        message.timing = timing_message(answer.timing)
        message.energy = energy_message(answer.energy)
    return message


def packet_fields(packet: TensorPacket) -> dict[str, Any]:
    """Fields of a Payload that carry a tensor."""
    import array

    return {
        'codec': packet.codec,
        'compression': packet.compression,
        'dtype': packet.dtype,
        'shape': [int(side) for side in packet.shape],
        'scale': float(packet.scale),
        'zero_point': int(packet.zero_point),
        'crc32': packet.crc32,
        'data': array.array('B', packet.data),
    }


def packet_from(message: msg.Payload) -> TensorPacket:
    """The tensor of a Payload; it is checked when it is decoded."""
    return TensorPacket(
        codec=message.codec,
        dtype=message.dtype,
        shape=tuple(message.shape),
        scale=message.scale,
        zero_point=message.zero_point,
        data=bytes(message.data),
        crc32=message.crc32,
        compression=message.compression,
    )
