#!/usr/bin/env bash
# Grades a class as a Slurm job array, one part a task:
#
#   job=$(sbatch --parsable --array=1-16 ci/cluster/slurm.sh class.yaml autumn lab6-2-buddy)
#   sbatch --dependency=afterok:"$job" --wrap 'grader merge autumn/part-* --out autumn/whole --csv grades.csv'
#
#SBATCH --job-name=grader
#SBATCH --cpus-per-task=4
#SBATCH --mem-per-cpu=1G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

roster=${1:?the roster}
out=${2:?the folder for all parts}
lab=${3:?the lab}

# Arrays begin at whatever their author wrote, mostly 0 or 1.
part=$((SLURM_ARRAY_TASK_ID - ${SLURM_ARRAY_TASK_MIN:-1} + 1))
of=$SLURM_ARRAY_TASK_COUNT

# What is built and booted goes to the node's own disk; only the part itself has to be kept.
export GRADER_CACHE=${GRADER_CACHE:-${TMPDIR:-/tmp}/grader-${SLURM_ARRAY_JOB_ID:-$$}-$part}

code=0
grader batch --roster "$roster" --lab "$lab" --shard "$part/$of" --out "$out/part-$part" --resume \
    --jobs "${SLURM_CPUS_PER_TASK:-1}" || code=$?
# Lost points are a result and no failure of the job.
[ "$code" -eq 1 ] || exit "$code"
