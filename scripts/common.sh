# shellcheck shell=bash
# Sourced by the other scripts: where things are, messages, the lock, the keys of the stamps.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
VENV=$ROOT/.venv
readonly ROOT VENV

say() { printf '== %s\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Which ROS 2 this shell gives: `sourced` (ROS_DISTRO set) or `pip` (Kilted wheels in .venv).
ros_mode() {
    if [ -n "${ROS_DISTRO:-}" ]; then echo sourced; else echo pip; fi
}

# One set-up or build at a time. The lock is on the checkout's directory itself, so there is no
# lock file that `make clean` could take away from under another call.
take_lock() {
    command -v flock >/dev/null || die 'flock is missing: sudo apt-get install util-linux'
    exec 9<"$ROOT"
    if ! flock --nonblock 9; then
        say 'waiting for another set-up or build in this checkout'
        flock 9
    fi
}

# Key of the Python environment: anything in it that changes means "install again".
venv_key() {
    {
        echo "$ROOT $(ros_mode) ${ROS_DISTRO:-}"
        cat "$ROOT"/requirements/{run,numpy,numpy-ros,ros,solvers,dev,constraints}.txt \
            "$ROOT"/scripts/{setup.sh,patch_ros_wheels.py}
    } | sha256sum | cut -d' ' -f1
}

# Key of install/: contents of what is compiled, names of what is linked (with
# --symlink-install the contents of Python files and configurations need no build).
build_key() {
    (
        cd "$ROOT" || exit
        cat "$VENV/.sec-stamp" CMakeLists.txt package.xml setup.cfg scripts/build.sh
        for file in msg/*.msg srv/*.srv; do
            if [ -f "$file" ]; then echo "$file" && cat "$file"; fi
        done
        # `models` or `launch` may be absent: find then fails, which is no failure here.
        { find sec_nodes config launch models -type d -name __pycache__ -prune \
            -o -type f -print 2>/dev/null || true; } | LC_ALL=C sort
    ) | sha256sum | cut -d' ' -f1
}
