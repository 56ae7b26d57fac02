#!/bin/bash
# Starts one sandbox: start.sh FILTER CGROUPS cgroup.procs... DISK OWNER SOURCES path... -- COMMAND...
#
# Opens the seccomp filter as file 3, for bubblewrap. Enters the cgroups, so that everything after this line is
# counted, and asks the kernel to kill it before others when the machine runs out of memory; its commands, which ask for
# more, before its agent. As root, the sources are mounted in
# a mount namespace of its own at /mnt/0, /mnt/1, ...: COMMAND drops to an ordinary user, who may not walk through
# root's folders. Where DISK is not empty, it is a disk image whose folders are among the sources: mounted here, it goes
# with the last process of the namespace, and its loop device with it.
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

disk=$1
owner=$2
count=$3
shift 3
if ((EUID == 0)); then
  mount -t tmpfs -o mode=755,size=64k pincer /mnt
  if [[ -n $disk ]]; then
    mkdir /mnt/disk
    # The disk of a sandbox that has just ended may not be free yet.
    for ((tries = 50; ; tries--)); do
      mount -t ext4 -o loop,nosuid,nodev,noatime,discard "$disk" /mnt/disk && break
      ((tries > 0)) || exit 1
      sleep 0.1
    done
    for folder in workspace workspace/files files; do
      [[ -d /mnt/disk/$folder ]] || install -d -m 700 -o "$owner" -g "$owner" "/mnt/disk/$folder"
    done
  fi
  for ((i = 0; i < count; i++)); do
    if [[ -d $1 ]]; then mkdir "/mnt/$i"; else : > "/mnt/$i"; fi
    mount --bind "$1" "/mnt/$i"
    shift
  done
else
  shift "$count"
fi
shift

# What bubblewrap starts with can be read inside, where it is the first process.
if ! program=$(type -P bwrap); then
  echo "bwrap: not found" >&2
  exit 127
fi
PATH=${program%/*}
cd /
unset OLDPWD
exec "$@"
