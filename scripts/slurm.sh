#!/bin/sh
# Slurm for the test of its recipe: taken from the system's packages where that is possible, else said to be missing.
# That test then says SKIPPED and passes. Nothing of it is configured or started here.
is_there() { for tool in munged slurmctld slurmd sbatch; do command -v "$tool" >/dev/null 2>&1 || return; done; echo "slurm: $(slurmctld -V)"; }
PATH=$PATH:/usr/sbin
is_there && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "slurm: installing Debian's packages"
    # RUNLEVEL keeps the packages from starting their services.
    { apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends munge slurmctld slurmd slurm-client; } >/dev/null 2>&1 && is_there && exit 0
fi
echo "slurm: not there, and not to be had here: the test of its recipe will be SKIPPED. On Debian and Ubuntu: apt-get install munge slurmctld slurmd slurm-client" >&2
