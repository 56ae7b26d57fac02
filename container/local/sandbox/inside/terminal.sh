# Runs the command in PINCER_COMMAND in a terminal. Every Debian has script, which holds the terminal's other end: what
# is written to its standard input is typed, and its standard output is what is shown.
if [[ ${1-} != inside ]]; then
  SHELL=/bin/bash exec script --quiet --flush --return --echo always --command "exec /bin/bash $0 inside" /dev/null
fi
stty rows 40 cols 120
command=$PINCER_COMMAND
unset PINCER_COMMAND
exec /bin/bash -c "$command"
