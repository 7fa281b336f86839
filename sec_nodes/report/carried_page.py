"""Data that UAVs carried, as a page shows them: figures, totals, and what reached the ground."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from sec_nodes.report.carried import INITIAL, checksum_states
from sec_nodes.report.load import Run
from sec_nodes.report.units import NONE, data, joule, percent, seconds

_MOST_FILES = 200
"""Rows of the table of deliveries, the newest ones."""

_STYLES = {'as recorded': 'done', 'verified': 'done', 'unverified': 'late', 'altered': 'failed'}


def carried_section(run: Run, carried: dict[str, Any] | None, figures: str) -> str:
    """A section on data that were passed on; empty without relays.

    Args:
        run: the run.
        carried: its numbers.
        figures: HTML of the figures.
    """
    if carried is None:
        return ''
    return (
        f'<section><h2>Data carried</h2><p class="lead">{_lead(carried)}</p>'
        f'<div class="scroll"><table>\n{_numbers(carried)}\n</table></div>\n{figures}</section>\n'
        f'<section><h2>Files on the ground</h2><p class="lead">{_files_lead(run)}</p>'
        f'<div class="scroll"><table>\n{_files(run)}\n</table></div></section>'
    )


def carried_tiles(carried: dict[str, Any] | None) -> tuple[tuple[str, str, str], ...]:
    """Label, value and detail of what stands at the head of the page."""
    if carried is None:
        return ()
    weight = carried['energy_weight_mbit_j']
    files = carried['files']
    return (
        (
            'utility',
            data(carried['utility_mbit']),
            f'uploaded {data(carried["uploaded_mbit"])} less {weight or 0:g} Mbit/J times '
            f'{joule(carried["energy_j"]["total"])}',
        ),
        (
            'on the ground',
            data(carried['delivered_mbit']),
            f'{files["delivered"]} files, {files["verified"]} with the right checksum',
        ),
    )


def carried_alerts(carried: dict[str, Any] | None) -> list[str]:
    """What must not happen to data, in words."""
    if carried is None:
        return []
    balance, files = carried['conservation'], carried['files']
    texts = [
        _break(name, [one for one in balance['breaks'] if one['name'] == name])
        for name in dict.fromkeys(one['name'] for one in balance['breaks'])
    ]
    for key, what in (
        ('delivered_twice', 'files were delivered more than once'),
        ('altered', 'files differ from what the device recorded'),
    ):
        if files[key]:
            texts.append(f'{len(files[key])} {what}: {", ".join(files[key][:5])}')
    return texts


def skipped_text(carried: dict[str, Any]) -> str:
    """What of the balance of data could not be judged; empty if nothing."""
    skipped = carried['conservation']['skipped_slots']
    if not skipped:
        return ''
    return f'{skipped} {"slot" if skipped == 1 else "slots"} without report passed over'


def _break(name: str, breaks: list[dict[str, Any]]) -> str:
    """Where the balance of a UAV does not hold, the first such slot in figures."""
    bit, others = breaks[0]['missing_bit'], len(breaks) - 1
    return (
        f'{name}: {data(abs(bit) / 1e6)} {"vanished" if bit > 0 else "came from nowhere"} in slot '
        f'{breaks[0]["slot"]}; stored before + collected is not uploaded + stored after'
        + (f', nor in {others} more {"slot" if others == 1 else "slots"}' if others else '')
    )


def _lead(carried: dict[str, Any]) -> str:
    balance = carried['conservation']
    kept = {
        True: 'No data were lost or made up on any UAV: stored before + collected = uploaded + '
        'stored after, slot by slot, to rounding to whole bytes.',
        False: 'Data were lost or made up on the way: see the head of the page.',
        None: 'What was stored before is not recorded, so that losses cannot be ruled out.',
    }[balance['holds']]
    skipped = skipped_text(carried)
    return (
        f'The satellite was in view in {percent(carried["with_satellite"])} of the slots. {kept}'
        + (
            f' {skipped}, as after a kill of a UAV: what it moved there may be in no total, a '
            'loss there does not show, and the balance begins anew with its next report.'
            if skipped
            else ''
        )
    )


def _numbers(carried: dict[str, Any]) -> str:
    finish = carried['finish_s']
    rows = (
        (
            'batches of urgent data',
            f'{carried["batches"]}, {carried["late_batches"]} of them late',
        ),
        (
            'done after',
            f'{seconds(finish["p50"])} (median), {seconds(finish["p99"])} (p99) of the slot',
        ),
        (
            'computed by the satellite',
            f'{percent(carried["offloaded_share"])} of the urgent data, '
            f'{carried["frames_offloaded"]} of {carried["frames"]} frames',
        ),
        ('collected from devices', data(carried['collected_mbit'])),
        ('no room for', data(carried['overflow_mbit'])),
        ('uploaded to the satellite', data(carried['uploaded_mbit'])),
        ('delivered to the ground', data(carried['delivered_mbit'])),
    )
    return '\n'.join(f'<tr><td>{name}</td><td>{value}</td></tr>' for name, value in rows)


def _files_lead(run: Run) -> str:
    count = len(run['deliveries'])
    shown = f'The newest {_MOST_FILES} of {count}. ' if count > _MOST_FILES else ''
    return (
        f'{shown}Verified: the SHA-256 of the whole file on the ground is the one that the device '
        'sent along. As recorded: it is also that of the recording, made again from the seed.'
    )


def _files(run: Run) -> str:
    files, states = run['deliveries'], checksum_states(run)
    heads = ('file', 'device', 'recorded', 'landed', 'after', 'size', 'counts as', 'checksum')
    rows = [_row(heads, 'th')]
    for row in np.argsort(-files['time_s'], kind='stable')[:_MOST_FILES]:
        created_slot, sha256 = int(files['created_slot'][row]), str(files['sha256'][row])
        after_s = float(files['time_s'][row]) - created_slot * run.slot_s
        state, before = states[row], INITIAL.fullmatch(files['file_id'][row]) is not None
        rows.append(
            _row(
                (
                    html.escape(files['file_id'][row]),
                    NONE if before else str(files['device_id'][row]),
                    'before the run' if before else f'slot {created_slot}',
                    f'slot {files["slot"][row]}',
                    NONE if before else f'{after_s:.0f} s',
                    f'{files["size_byte"][row]:,} B',
                    data(files['size_bit'][row] / 1e6),
                    f'<b class="{_STYLES[state]}">{state}</b> '
                    f'<code title="{html.escape(sha256)}">{html.escape(sha256[:8])}</code>',
                )
            )
        )
    return '\n'.join(rows)


def _row(cells: tuple[str, ...], tag: str = 'td') -> str:
    return '<tr>' + ''.join(f'<{tag}>{cell}</{tag}>' for cell in cells) + '</tr>'
