#!/bin/bash
# Lets COMMAND, and whatever it starts, listen at every port of the network namespace that this is in: low-ports.sh
# COMMAND... It is started with the right to do so there, which COMMAND does not get.
set -euo pipefail

echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start
exec /usr/bin/setpriv --ambient-caps=-all --inh-caps=-all -- "$@"
