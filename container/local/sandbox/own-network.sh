#!/bin/bash
# Sets the network namespace that this is in as a sandbox needs it, and goes on as COMMAND: own-network.sh COMMAND...
# It is started with the right to do so there, which COMMAND does not get.
set -euo pipefail
settings=/proc/sys/net/ipv4

# COMMAND, and whatever it starts, may listen at every port.
echo 0 > $settings/ip_unprivileged_port_start
# Who waits in the queue of a socket that is closed goes over to another one at the same place (Linux 5.14): so nobody
# is turned away while the egress proxy takes the agent's place.
[[ ! -e $settings/tcp_migrate_req ]] || echo 1 > $settings/tcp_migrate_req

exec /usr/bin/setpriv --ambient-caps=-all --inh-caps=-all -- "$@"
