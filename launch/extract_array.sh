#!/usr/bin/env bash
#SBATCH --job-name=a2inet-extract
#SBATCH --array=0-7
#SBATCH --ntasks=1
#SBATCH --gpus=1
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --requeue
# Extract features on several GPUs, one task and one shard of the videos each, into the same stores; from the
# repository's root, on a disk that the nodes share:
#   sbatch --array=0-15 launch/extract_array.sh --config=dataset:lsvq
# The tasks are numbered from 0, and there are as many shards as tasks. .venv, with the extra `cuda`, and the
# weights (`a2inet weights get`) must be there. A task that was stopped resumes when it is started again, by SLURM
# (--requeue) or by the same command, which keeps what is in the stores.
set -euo pipefail
cd "$SLURM_SUBMIT_DIR" # SLURM runs a copy of this file in another folder
export PATH="$PWD/.venv/bin:$PATH"
exec a2inet extract "$@" --shard="$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
