# shellcheck shell=bash
# Enter the environment that `make setup` and `make build` made:
#
#   source scripts/env.sh
#
# Then `sec`, `python -c 'import rclpy, sec_offload.msg'` and, with a sourced ROS 2, `ros2 run
# sec_offload uav` work in this shell. bash and zsh; harmless when sourced twice.

_sec_enter() {
    local root venv name
    # shellcheck disable=SC2296  # the second form is zsh
    if [ -n "${BASH_SOURCE[0]:-}" ]; then root=${BASH_SOURCE[0]}; else root=${(%):-%x}; fi
    root=$(cd "$(dirname "$root")/.." && pwd -P) || return
    venv=$root/.venv
    if [ ! -f "$venv/.sec-stamp" ]; then
        echo "error: $venv is not set up: call make build in $root" >&2
        return 1
    fi

    # Set by the ROS wheels of another environment, it would keep ours from finding its libraries.
    unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
    # shellcheck disable=SC1091
    VIRTUAL_ENV_DISABLE_PROMPT=1 . "$venv/bin/activate"

    if [ -z "${ROS_DISTRO:-}" ]; then
        # The virtual environment is an ament prefix of its own.
        for name in AMENT_PREFIX_PATH CMAKE_PREFIX_PATH; do
            _sec_prepend "$name" "$venv"
        done
        export RMW_IMPLEMENTATION=rmw_fastrtps_cpp # the only one on PyPI
    fi

    # Nodes of this machine only, unless the user has said otherwise, and without Fast DDS's shared
    # memory: what killed processes leave there can keep later ones from hearing each other. The file
    # also keeps it from looking up types (see config/fastdds/network.xml).
    # `sec up` does the same (sec_nodes/fleet/domain.py).
    export FASTDDS_BUILTIN_TRANSPORTS=${FASTDDS_BUILTIN_TRANSPORTS:-UDPv4}
    if [ "${ROS_DISTRO:-}" = humble ]; then
        if [ -z "${ROS_LOCALHOST_ONLY:-}" ]; then
            export ROS_LOCALHOST_ONLY=1 SEC_LOCAL_BY_DEFAULT=ROS_LOCALHOST_ONLY
        fi
    elif [ -z "${ROS_AUTOMATIC_DISCOVERY_RANGE:-}" ]; then
        export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
        SEC_LOCAL_BY_DEFAULT=ROS_AUTOMATIC_DISCOVERY_RANGE
        name=${FASTDDS_DEFAULT_PROFILES_FILE:-}${FASTRTPS_DEFAULT_PROFILES_FILE:-}
        case "${RMW_IMPLEMENTATION:-rmw_fastrtps} $name" in
            rmw_fastrtps*' ')
                export ROS_AUTOMATIC_DISCOVERY_RANGE=SYSTEM_DEFAULT
                case ${ROS_DISTRO:-} in
                    iron | jazzy) name=FASTRTPS_DEFAULT_PROFILES_FILE ;; # Fast DDS 2
                    *) name=FASTDDS_DEFAULT_PROFILES_FILE ;;
                esac
                export "$name=$root/config/fastdds/loopback.xml"
                SEC_LOCAL_BY_DEFAULT="$SEC_LOCAL_BY_DEFAULT $name"
                ;;
        esac
        export SEC_LOCAL_BY_DEFAULT
    fi

    name=$root/install/local_setup.${ZSH_VERSION:+z}${BASH_VERSION:+ba}sh
    # shellcheck disable=SC1090
    if [ -f "$name" ]; then . "$name"; fi
}

# Put a directory in front of a list of paths, once.
_sec_prepend() {
    local old
    eval "old=\${$1:-}"
    case ":$old:" in
        *":$2:"*) ;;
        *) export "$1=$2${old:+:$old}" ;;
    esac
}

# colcon's set-up files read variables that may not be set.
case $- in
    *u*)
        set +u
        _sec_enter
        set -u
        ;;
    *) _sec_enter ;;
esac
