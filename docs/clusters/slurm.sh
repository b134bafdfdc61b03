#!/bin/bash
# Train a recipe on several nodes. Out of time or pre-empted, the run writes a checkpoint and the job is queued again.
#
#   sbatch docs/clusters/slurm.sh RECIPE DIRECTORY [KEY=VALUE]...
#
# DIRECTORY, and what the recipe names, lie on a disk that all nodes share.

#SBATCH --job-name=inarch
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@180

set -u
recipe=$1
directory=$2
shift 2

export INARCH_TIMEOUT=${INARCH_TIMEOUT:-600}
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1  # or processes that start again look for those that died
processes=${SLURM_GPUS_ON_NODE:-1}
export OMP_NUM_THREADS=$((${SLURM_CPUS_PER_TASK:-1} / processes > 0 ? ${SLURM_CPUS_PER_TASK:-1} / processes : 1))
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

srun --kill-on-bad-exit=1 torchrun \
    --nnodes="$SLURM_JOB_NUM_NODES" --nproc-per-node="$processes" --max-restarts=3 \
    --rdzv-backend=c10d --rdzv-endpoint="$first:${RENDEZVOUS_PORT:-29400}" \
    --rdzv-id="$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0}" \
    -m inarch train "$recipe" "$@" --out "$directory" --resume &
step=$!

asked=""
trap 'asked=yes; kill -TERM "$step"' TERM  # srun hands it on; torchrun hands it to the processes that train
wait "$step"
code=$?
if [ -n "$asked" ]; then  # the signal ended that wait, not the step
    wait "$step"
    scontrol requeue "$SLURM_JOB_ID"
    exit 143
fi
exit "$code"
