#!/usr/bin/env bash
# Build the package into install/ with colcon. Quick when nothing changed; Python files and
# configurations are linked, so only new names, interfaces and build files need a build.
#
# Other arguments go to colcon: scripts/build.sh --parallel-workers 1
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

"$ROOT/scripts/setup.sh"
take_lock
key=$(build_key)
if [ "$(cat "$ROOT/install/.sec-stamp" 2>/dev/null)" = "$key" ]; then exit; fi

# A workspace must not be built on top of itself: leave its own install/ out of every list.
without_install() {
    tr ':' '\n' <<<"$1" | { grep -v "^$ROOT/install\(/\|$\)" || true; } | paste -sd: -
}

# Options of the make that called this are not meant for the make that colcon calls.
unset MAKEFLAGS MFLAGS MAKELEVEL
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONHOME COLCON_PREFIX_PATH
export VIRTUAL_ENV=$VENV PATH=$VENV/bin:$PATH
if [ "$(ros_mode)" = pip ]; then
    export AMENT_PREFIX_PATH=$VENV CMAKE_PREFIX_PATH=$VENV
    unset PYTHONPATH
    colcon=("$VENV/bin/python" -m colcon)
    # PyPI has no rclcpp and no other middleware: the Python side of the messages is all of use.
    options=(-DSEC_PYTHON_MESSAGES_ONLY=ON)
else
    for name in AMENT_PREFIX_PATH CMAKE_PREFIX_PATH PYTHONPATH LD_LIBRARY_PATH; do
        export "$name=$(without_install "${!name:-}")"
    done
    colcon=(colcon)
    options=()
fi

cd "$ROOT"
# CMake remembers the Python and the prefixes of the environment that it was first run in.
if [ "$(cat build/.sec-venv 2>/dev/null)" != "$(cat "$VENV/.sec-stamp")" ]; then
    rm -rf build/sec_offload install
fi
say 'colcon build'
start=$SECONDS
mkdir -p build
cp "$VENV/.sec-stamp" build/.sec-venv
rm -f install/.sec-stamp
log=build/colcon.log
if ! "${colcon[@]}" --log-level error build --symlink-install --packages-select sec_offload \
    --event-handlers console_cohesion- console_direct- status- summary- desktop_notification- \
    --cmake-args -DBUILD_TESTING=OFF -DCMAKE_BUILD_TYPE=Release --no-warn-unused-cli "${options[@]}" \
    "$@" >"$log" 2>&1; then
    cat "$log" >&2
    die "colcon build failed; its output is above and in $log"
fi
# colcon leaves links to sources that are gone: a module search would still find them.
find install/sec_offload -xtype l -delete
# `sec` beside the environment's python; the nodes stay in lib/sec_offload, their names are common.
ln -sfn "$ROOT/install/sec_offload/lib/sec_offload/sec" "$VENV/bin/sec"
echo "$key" >install/.sec-stamp
say "built in $((SECONDS - start)) s"
