#!/usr/bin/env bash
#SBATCH --job-name=a2inet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
# Train on the GPUs of several nodes, one process a node; from the repository's root, on a disk that they share:
#   sbatch --nodes=4 launch/slurm.sh --config=sample --config.name=four
# .venv, with the extra `cuda`, and the features (`a2inet extract`) must be there. Two minutes before its time is
# up a job saves a checkpoint and ends; the same command resumes.
set -euo pipefail
cd "$SLURM_SUBMIT_DIR" # SLURM runs a copy of this file in another folder
export PATH="$PWD/.venv/bin:$PATH"
# Without this JAX gives a process of SLURM one GPU.
JAX_LOCAL_DEVICE_IDS=$(seq --separator=, 0 $((SLURM_GPUS_ON_NODE - 1)))
export JAX_LOCAL_DEVICE_IDS
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=1 \
  a2inet train "$@" --config.train.parallel=mesh --distributed
