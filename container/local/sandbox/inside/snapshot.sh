#!/bin/bash
# The workspace as one stream, and back: snapshot.sh look | save | restore. Runs inside the sandbox, so that no path is
# resolved anywhere else, and is the same for every driver.
#
# `look` prints what snapshot.mjs says of it. `save` writes a compressed tar, and is whole only where it exits with 0.
# `restore` fills the empty workspace from standard input and prints what `look` does. Exits with 3 where what came is
# damaged, with 4 where this machine has no GNU tar.
set -u
PATH=/opt/node/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unset TAR_OPTIONS ZSTD_CLEVEL ZSTD_NBTHREADS NODE_OPTIONS
here=${BASH_SOURCE[0]%/*}
# Where memory runs out, this dies before the agent does.
echo 1000 2>/dev/null > /proc/self/oom_score_adj
cd /workspace || exit 1

[[ $(tar --version 2>/dev/null) == *"GNU tar"* ]] || exit 4

# As much as a pipe holds, 64 KB at a time.
blocks=--blocking-factor=128

# Level 2 takes a fifth less time than 3, and a fortieth more room. A machine without zstd has Node's.
compress() { if type -P zstd >/dev/null; then zstd -q -2 -T0 -c; else node "$here/snapshot.mjs" compress; fi; }
decompress() { if type -P zstd >/dev/null; then zstd -q -d -c; else node "$here/snapshot.mjs" decompress; fi; }

case $1 in
  look)
    exec node "$here/snapshot.mjs" look
    ;;
  save)
    # Posix headers keep fractions of seconds; when a file was read last is of no use to anybody.
    node "$here/snapshot.mjs" list |
      tar --create --file=- --format=posix --pax-option=delete=atime,delete=ctime --numeric-owner --sparse \
        "$blocks" --null --no-recursion --ignore-failed-read --files-from=- |
      compress
    codes=("${PIPESTATUS[@]}")
    # 1: a file changed while it was read; the next snapshot has it as it is then.
    ((codes[0] == 0 && codes[1] <= 1 && codes[2] == 0))
    ;;
  restore)
    decompress |
      tar --extract --file=- --preserve-permissions --numeric-owner --delay-directory-restore \
        "$blocks" --exclude=./files --exclude='./files/*'
    codes=("${PIPESTATUS[@]}")
    # Whoever writes to a tar that has given up ends with 141 or 70, whatever the bytes were.
    ((codes[0] == 0 || codes[0] == 141 || codes[0] == 70)) || exit 3
    ((codes[0] == 0 && codes[1] == 0)) || exit 1
    exec node "$here/snapshot.mjs" look
    ;;
  *)
    exit 2
    ;;
esac
