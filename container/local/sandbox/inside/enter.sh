# Read by bash before each command (BASH_ENV). The limit on message queues, which nobody uses, marks everything that
# the command will start: children inherit it, whatever session or parent they move to, and /proc shows it.
ulimit -q "$PINCER_MARK"
# Standard input arrives on a named pipe, which /dev/stdin cannot be opened on once it is over; cat makes it a plain one.
[[ -z ${PINCER_STDIN-} ]] || exec < <(exec cat)
unset BASH_ENV PINCER_MARK PINCER_STDIN
