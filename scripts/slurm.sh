#!/bin/sh
# Slurm for the test of its recipe: installed from the system's packages where that is possible.
# Fails where it is not; with CAPFILT_ALLOW_SKIP=1 that test is skipped, and counted at the end of `make test`.
# Nothing of Slurm is configured or started here; daemons lie in /usr/sbin.
PATH=$PATH:/usr/sbin exec "$(dirname "$0")/need.sh" Slurm "munged slurmctld slurmd sbatch scancel" \
    "munge slurmctld slurmd slurm-client"
