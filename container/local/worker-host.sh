#!/bin/sh
# Miniflare starts this in place of workerd (MINIFLARE_WORKERD_PATH): workerd then ends with the launcher, even where
# that is killed. Only Linux has setpriv; elsewhere Miniflare's own exit hook has to do.
if command -v setpriv > /dev/null; then
  exec setsid setpriv --pdeathsig KILL "$PINCER_WORKERD" "$@"
fi
exec "$PINCER_WORKERD" "$@"
