#!/bin/sh
# Provides Slurm for the test of its recipe, from the system's packages if possible. Fails if it is missing;
# with CAPFILT_ALLOW_SKIP=1 its test is skipped, and counted at the end of `make test`. The script does not
# configure or start Slurm. Its daemons are in /usr/sbin.
PATH=$PATH:/usr/sbin exec "$(dirname "$0")/need.sh" Slurm "munged slurmctld slurmd sbatch scancel" \
    "munge slurmctld slurmd slurm-client"
