#!/bin/sh
# Miniflare starts this in place of workerd (MINIFLARE_WORKERD_PATH): workerd then ends with the launcher, even where
# that is killed. Only Linux has setpriv; elsewhere Miniflare's own exit hook has to do.

# Miniflare's own door would be a loopback port where every user of the machine reads the whole R2 bucket, under
# /cdn-cgi/local/r2/public. Nobody here needs that door: it becomes a socket in a folder of ours.
rm -f "$PINCER_DOOR_SOCKET"
for argument do
  shift
  case $argument in --socket-addr=entry=*) argument="--socket-addr=entry=unix:$PINCER_DOOR_SOCKET" ;; esac
  set -- "$@" "$argument"
done

if command -v setpriv > /dev/null; then
  exec setsid setpriv --pdeathsig KILL "$PINCER_WORKERD" "$@"
fi
exec "$PINCER_WORKERD" "$@"
