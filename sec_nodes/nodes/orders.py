"""What the coordinator says of single tries: the order to begin it, and that a task has moved."""

from __future__ import annotations

from sec_nodes.loop.ledger import Entry, Task, Try
from sec_nodes.slot import LOCAL
from sec_offload import msg


def order_message(task: Task, number: int, attempt: Try) -> msg.Assignment:
    """The order to begin a try.

    Args:
        task: the task.
        number: of the try, from 0.
        attempt: the try.
    """
    return msg.Assignment(
        task_id=task.task_id,
        device_id=task.device_id,
        attempt=number,
        server=attempt.server,
        model_id=attempt.model_id,
        split=attempt.split,
        power_w=attempt.power_w,
        compute_share=attempt.compute_share,
        assigned_s=attempt.assigned_s,
        created_s=task.created_s,
        deadline_s=task.deadline_s,
        input_bit=task.input_bit,
        steps=task.steps,
        answer_bit=task.answer_bit,
        holder=attempt.holder,
        prompt=task.prompt,
    )


def migration_message(
    entry: Entry, attempt: Try, slot: int, size_bit: float, expected_s: float
) -> msg.Migration:
    """A task goes on elsewhere.

    Args:
        entry: the task.
        attempt: its new try.
        slot: of the order.
        size_bit: of the tensor that moves; nothing moves to devices [bit].
        expected_s: how long that should take [s].
    """
    stays = attempt.server == LOCAL
    relayed = attempt.holder != LOCAL
    return msg.Migration(
        task_id=entry.task.task_id,
        device_id=entry.task.device_id,
        attempt=entry.attempts - 1,
        slot=slot,
        from_server=entry.lost_by,
        to_server=attempt.server,
        way=(
            msg.Migration.LOCAL
            if stays
            else msg.Migration.RELAY
            if relayed
            else msg.Migration.RESEND
        ),
        model_id=attempt.model_id,
        cut=attempt.split,
        size_bit=0.0 if stays else size_bit,
        expected_s=0.0 if stays else expected_s,
        compute_share=attempt.compute_share,
        reason=entry.last_reason,
        decided_s=attempt.assigned_s,
    )
