#!/bin/bash
# Runs a command as a Slurm job and requeues the job at its time limit.
#
# Before the limit Slurm signals only this shell (--signal=B:TERM). The shell sends SIGTERM to the command,
# which returns its shards and ends with 130; then the shell requeues the job. When the job is cancelled or
# preempted, Slurm signals the command itself and requeues the job if needed: a second signal from this shell
# would shorten the command's grace, and a cancelled job must not be requeued.
#
# usage: across_limits.sh COMMAND [ARGUMENT...]

# The id of this element of an array; $SLURM_JOB_ID of the last element would name the whole array.
job=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
command=
is_at_limit=no

stop_command() { [ -z "$command" ] || kill -TERM "$command" 2>/dev/null; }
at_signal() {
    [ "$(squeue --noheader --jobs="$job" --format=%T)" = RUNNING ] || return
    is_at_limit=yes
    stop_command
}
trap at_signal TERM

"$@" &
command=$!
# The signal may have arrived before the command was started.
[ "$is_at_limit" = no ] || stop_command
wait "$command"; code=$?
# A signal to this shell ends `wait`, not the command.
while kill -0 "$command" 2>/dev/null; do wait "$command"; code=$?; done

# 130: the command stopped cleanly. 143: SIGTERM arrived before the command had installed its handler.
if [ "$is_at_limit" = yes ] && { [ "$code" = 130 ] || [ "$code" = 143 ]; }; then
    echo "capfilt: the time limit is near; job $job goes back into the queue"
    scontrol requeue "$job"
fi
exit "$code"
