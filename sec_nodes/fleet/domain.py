"""The ROS domain of a run: held by one run at a time, and kept on this machine."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterable, MutableMapping
from pathlib import Path
from types import TracebackType

from sec_nodes.config import ConfigError
from sec_nodes.paths import config_dir

MAX_DOMAIN = 232
"""Highest ROS domain for which DDS has ports."""

PROCESS_DEFAULTS = {
    'OMP_NUM_THREADS': '1',
    'OPENBLAS_NUM_THREADS': '1',
    'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4',
}
"""What processes of a fleet find in their environment unless the user has said otherwise.

Numerical libraries use one thread, since there are as many processes as cores. Fast DDS keeps off
shared memory: a killed process leaves locks and queues there that can cut later ones, of any
domain, from each other (Fast DDS issues 1144 and 5469)."""


class DomainBusyError(RuntimeError):
    """Another run has the ROS domain; the text says which, and what to do."""


def domain_id(environment: MutableMapping[str, str] | None = None) -> int:
    """Number of the ROS domain that the environment chooses.

    Raises:
        ConfigError: it is no number, or none that ROS can use.
    """
    text = (os.environ if environment is None else environment).get('ROS_DOMAIN_ID') or '0'
    if not text.isdigit() or int(text) > MAX_DOMAIN:
        raise ConfigError(f'ROS_DOMAIN_ID = {text!r}: must be a number from 0 to {MAX_DOMAIN}')
    return int(text)


def busy(domain: int, holder: str) -> DomainBusyError:
    """The error of a domain that somebody has, with a free number as the remedy."""
    other = domain + 1 if domain < 101 else 1
    return DomainBusyError(
        f'ROS domain {domain} already has a sec_offload run ({holder}); '
        f'stop it or choose another with ROS_DOMAIN_ID={other}'
    )


LOCAL_BY_DEFAULT = 'SEC_LOCAL_BY_DEFAULT'
"""Set by scripts/env.sh to the variables with which it has restricted discovery by itself."""

PROFILES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
"""Name the file with settings of Fast DDS, from its version 3 (Kilted) on and before."""


def keep_local(environment: MutableMapping[str, str], hosts: Iterable[str]) -> None:
    """Restrict discovery to this machine, unless the fleet has others or the user has said.

    With Fast DDS a file of ours does it, since `LOCALHOST` always brings its shared memory in
    (see `PROCESS_DEFAULTS`); Humble's `ROS_LOCALHOST_ONLY` does so too, and is left at that.
    Both files of ours, loopback.xml and network.xml, keep Fast DDS 3 from looking up types, which
    can leave out endpoints of processes that start together.

    Args:
        environment: environment of this process and its children; changed.
        hosts: machines of the fleet.
    """
    chosen = {'ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_LOCALHOST_ONLY', 'ROS_STATIC_PEERS'}
    by_default = environment.pop(LOCAL_BY_DEFAULT, '').split()
    if any(hosts):
        for name in by_default:
            environment.pop(name, None)
    stays = not any(hosts) and not chosen & environment.keys()
    distro = environment.get('ROS_DISTRO')
    fast_dds = environment.get('RMW_IMPLEMENTATION', 'rmw_fastrtps').startswith('rmw_fastrtps')
    if distro == 'humble':
        if stays:
            environment['ROS_LOCALHOST_ONLY'] = '1'
        return
    ours = fast_dds and not environment.keys() & set(PROFILES)
    if ours:
        file = 'loopback.xml' if stays else 'network.xml'
        environment[PROFILES[distro in ('iron', 'jazzy')]] = str(config_dir() / 'fastdds' / file)
    if stays:
        environment['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'SYSTEM_DEFAULT' if ours else 'LOCALHOST'


def complete(environment: MutableMapping[str, str]) -> None:
    """Add `PROCESS_DEFAULTS` to what the user has set."""
    for name, value in PROCESS_DEFAULTS.items():
        environment.setdefault(name, value)


class DomainLock:
    """Holds a ROS domain for one run of this user; the kernel lets go of it with the process.

    Args:
        domain: number of the domain.
        run: folder of the run, shown to whoever else wants the domain.
    """

    def __init__(self, domain: int, run: Path) -> None:
        self._domain = domain
        self._run = run
        self.path = Path(tempfile.gettempdir()) / f'sec_offload-{os.getuid()}-domain-{domain}.lock'

    def __enter__(self) -> DomainLock:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        self._file = os.fdopen(os.open(self.path, flags, 0o600), 'r+')
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(self._file.read())
            self._file.close()
            raise busy(self._domain, holder) from None
        self._file.truncate(0)
        json.dump({'pid': os.getpid(), 'run': str(self._run)}, self._file)
        self._file.flush()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The file stays: removing it would let two runs lock two files of one name.
        self._file.truncate(0)
        self._file.close()


def _holder(text: str) -> str:
    try:
        entry = json.loads(text)
        return f'pid {entry["pid"]}, {entry["run"]}'
    except (ValueError, KeyError, TypeError):
        return 'its process is just starting'
