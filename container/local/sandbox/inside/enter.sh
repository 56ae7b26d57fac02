# Read by bash before each command (BASH_ENV). The limit on message queues, which nobody uses, marks everything that
# the command will start: children inherit it, whatever session or parent they move to, and /proc shows it.
ulimit -q "$PINCER_MARK"
# Where memory runs out, commands and code die before the agent does.
echo 1000 2>/dev/null > /proc/self/oom_score_adj
# Standard input arrives on a named pipe, which /dev/stdin cannot be opened on once it is over; cat makes it a plain one.
# A signal for the command's group leaves it alone: the command may answer and read on.
[[ -z ${PINCER_STDIN-} ]] || exec < <(trap '' INT TERM HUP QUIT USR1 USR2; exec cat)
unset BASH_ENV PINCER_MARK PINCER_STDIN
