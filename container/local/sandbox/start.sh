#!/bin/bash
# Starts one sandbox: start.sh FILTER CGROUPS cgroup.procs... SOURCES path... -- COMMAND...
#
# Opens the seccomp filter as file 3, for bubblewrap. Enters the cgroups, so that everything after this line is
# counted, and asks the kernel to kill it before others when the machine runs out of memory; its commands, which ask for
# more, before its agent. As root, the sources are mounted in
# a mount namespace of its own at /mnt/0, /mnt/1, ...: COMMAND drops to an ordinary user, who may not walk through
# root's folders.
set -euo pipefail

exec 3< "$1"
shift

count=$1
shift
for ((; count > 0; count--)); do
  echo $$ > "$1"
  shift
done
echo 500 > /proc/self/oom_score_adj || true

count=$1
shift
if ((EUID == 0)); then
  mount -t tmpfs -o mode=755,size=64k pincer /mnt
  for ((i = 0; i < count; i++)); do
    if [[ -d $1 ]]; then mkdir "/mnt/$i"; else : > "/mnt/$i"; fi
    mount --bind "$1" "/mnt/$i"
    shift
  done
else
  shift "$count"
fi
shift
exec "$@"
