#!/usr/bin/env bash
# A cluster of three hosts on one Linux machine, as network namespaces: own addresses, processes, /tmp/ray and /dev/shm; a head
# that renders nothing, a worker, and a client that has no node. With token and TLS, as on real machines. Nothing goes out.
#
#   sudo infra/deploy/namespaces.sh up FOLDER               FOLDER keeps token, certificates, logs; a short name
#   sudo infra/deploy/namespaces.sh on FOLDER 2 COMMAND...  run COMMAND on a host: 0 head, 1 worker, 2 client
#   sudo infra/deploy/namespaces.sh down FOLDER
#
# Needs root, iproute2, util-linux, openssl, and the checkout's .venv. Files are the machine's own, for all three.
set -euo pipefail

die() { echo "namespaces.sh: $*" >&2; exit 2; }
usage() { sed -n '5,7s/^#   //p' "$0" >&2; exit 2; }
[ $# -ge 2 ] || usage
[ "$(id -u)" = 0 ] || die "needs root, to make networks"
action=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
shift 2
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
network=198.51.100
port=6379
# ray start, for a machine that may be busy
start="python -m infra.ray.start"

# Hosts of different folders don't meet.
name() { echo "nr$(printf '%s' "$folder" | cksum | cut -c1-6)$1"; }

host() { # NUMBER: a process that keeps its namespaces
    local number=$1 own=$folder/host$1
    mkdir -p "$own/ray"
    ip netns add "$(name "$number")"
    ip -n "$(name "$number")" link set lo up
    ip -n "$(name s)" link add "p$number" type veth peer name eth0 netns "$(name "$number")"
    ip -n "$(name s)" link set "p$number" master br0 up
    ip -n "$(name "$number")" addr add "$network.1$number/24" dev eth0
    ip -n "$(name "$number")" link set eth0 up
    printf '127.0.0.1 localhost\n%s host%s\n' "$network.1$number" "$number" >"$own/hosts"
    cat >"$own/init.sh" <<INIT
hostname host$number
mkdir -p /tmp/ray
mount --bind $own/ray /tmp/ray
mount -t tmpfs -o size=1g tmpfs /dev/shm
mount --bind $own/hosts /etc/hosts
touch $own/ready
exec sleep infinity
INIT
    setsid ip netns exec "$(name "$number")" unshare -m -u -p -f --mount-proc --kill-child bash "$own/init.sh" \
        </dev/null >"$own/init.log" 2>&1 &
    echo $! >"$own/first"
    for _ in $(seq 100); do [ -e "$own/ready" ] && break; sleep 0.1; done
    [ -e "$own/ready" ] || die "host $number does not come up: $(cat "$own/init.log")"
    # the first process inside: the child of unshare, which took setsid's place
    pgrep -P "$(cat "$own/first")" >"$own/inside"
}

away() { # NUMBER: the host, with all of its processes
    local own=$folder/host$1
    [ ! -e "$own/first" ] || kill -KILL "$(cat "$own/first")" 2>/dev/null || true   # it takes no other signal
    ip netns del "$(name "$1")" 2>/dev/null || true
    ip -n "$(name s)" link del "p$1" 2>/dev/null || true
    for _ in $(seq 50); do rm -rf "$own" 2>/dev/null && return; sleep 0.1; done
}

node() { # NUMBER COMMAND...: a host on which the command has started Ray
    local number=$1 try
    shift
    for try in 1 2 3 4 5; do
        host "$number"
        if on "$number" "$@"; then return; fi
        # why, is in the node's logs
        echo "Ray did not start on host $number (try $try of 5); its logs: $folder/logs$number-$try" >&2
        rm -rf "$folder/logs$number-$try"
        cp -r "$folder/host$number/ray/session_latest/logs" "$folder/logs$number-$try" 2>/dev/null || true
        away "$number"
    done
    die "Ray does not start on host $number; is this machine busy?"
}

on() { # NUMBER COMMAND...
    local number=$1
    shift
    nsenter -t "$(cat "$folder/host$number/inside")" -n -m -u -p --wd="$PWD" -- env \
        PATH="$root/.venv/bin:$PATH" PYTHONPATH="$root" NIGHTREEL_RAY_ADDRESS=$network.10:$port \
        RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$folder/token" RAY_USE_TLS=1 RAY_TLS_CA_CERT="$folder/tls/ca.crt" \
        RAY_TLS_SERVER_CERT="$folder/tls/node.crt" RAY_TLS_SERVER_KEY="$folder/tls/node.key" \
        RAY_gcs_rpc_server_reconnect_timeout_s=600 OMP_NUM_THREADS=1 "$@"
}

case $action in
up)
    [ ! -e "$folder/host0" ] || die "$folder has hosts already: $0 down $folder"
    umask 077
    head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$folder/token"
    "$here/certificates.sh" "$folder/tls" $network.0/24
    ip netns add "$(name s)"
    ip -n "$(name s)" link set lo up
    ip -n "$(name s)" link add br0 type bridge
    ip -n "$(name s)" link set br0 up
    node 0 env RAY_gcs_storage=rocksdb RAY_gcs_storage_path="$folder/gcs" $start --head --node-ip-address=$network.10 \
        --port=$port --num-cpus=0 --num-gpus=0 --dashboard-host=127.0.0.1 --metrics-export-port=8080 \
        --object-store-memory=200000000 --disable-usage-stats
    node 1 $start --address=$network.10:$port --node-ip-address=$network.11 --metrics-export-port=8080 \
        --object-store-memory=200000000 --disable-usage-stats
    host 2
    on 2 ray health-check --address $network.10:$port
    echo "the cluster is up; render on it:  $0 on $folder 2 nightreel render manifests/demo.parquet --output out"
    ;;
on)
    [ $# -ge 2 ] || usage
    [ -e "$folder/host$1/inside" ] || die "there is no host $1 in $folder: $0 up $folder"
    on "$@"
    ;;
down)
    for number in 0 1 2; do away "$number"; done
    ip netns del "$(name s)" 2>/dev/null || true
    rm -rf "$folder/gcs" "$folder/token" "$folder/tls" "$folder"/logs[01]-[1-5]
    ;;
*) usage ;;
esac
