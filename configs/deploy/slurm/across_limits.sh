#!/bin/bash
# Runs a command as a Slurm job for which a time limit is a pause, not an end.
#
# Before the limit Slurm signals this shell alone (--signal=B:TERM): the command is told to go, hands back what it has, ends
# with 130, and the job is put back into the queue. When the job is cancelled or preempted, Slurm has told the command
# itself and sees to the rest: a second signal from here would only rush it, and a cancelled job must stay away.
#
# usage: across_limits.sh COMMAND [ARGUMENT...]

# Of an array only this element: $SLURM_JOB_ID of its last one stands for the whole array.
job=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
command=
is_at_limit=no

tell_to_go() { [ -z "$command" ] || kill -TERM "$command" 2>/dev/null; }
at_signal() {
    [ "$(squeue --noheader --jobs="$job" --format=%T)" = RUNNING ] || return
    is_at_limit=yes
    tell_to_go
}
trap at_signal TERM

"$@" &
command=$!
# The signal may have come before there was anybody to tell.
[ "$is_at_limit" = no ] || tell_to_go
wait "$command"; code=$?
# A signal to this shell ends `wait`, not the command.
while kill -0 "$command" 2>/dev/null; do wait "$command"; code=$?; done

# 130: it went in order. 143: it was told before it could listen.
if [ "$is_at_limit" = yes ] && { [ "$code" = 130 ] || [ "$code" = 143 ]; }; then
    echo "capfilt: the time limit is near; job $job goes back into the queue"
    scontrol requeue "$job"
fi
exit "$code"
