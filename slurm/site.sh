# Every value that belongs to a site or a user, read by slurm/submit. Edit here, or set them in the environment.
: "${PARTITION:=}"                 # empty: the default partition
: "${ACCOUNT:=}"                   # empty: the default account
: "${CPUS:=4}" "${MEMORY:=8G}"     # of the agent's job: quick tests and gate run there
: "${HOURS:=24}"                   # time limit of one allocation of the agent's loop; it requeues itself before
: "${WARNING:=300}"                # seconds before the limit at which the loop saves and requeues
: "${SWEEP_CPUS:=4}" "${SWEEP_MEMORY:=8G}" "${SWEEP_HOURS:=12}"
: "${PARTS:=8}"                    # tasks of the sweep's job array
: "${CHAIN_CPUS:=4}" "${CHAIN_MEMORY:=16G}" "${CHAIN_HOURS:=12}" "${CHAIN_GRES:=}"   # CHAIN_GRES=gpu:1 for a GPU
: "${EXTRA:=}"                     # more options for sbatch, such as --qos=long
: "${SETUP:=}"                     # a command that each job runs first, such as "module load git tmux"
: "${PYTHON:=$(command -v "$PWD/.venv/bin/python" || command -v python3)}"
export PARTITION ACCOUNT CPUS MEMORY HOURS WARNING SWEEP_CPUS SWEEP_MEMORY SWEEP_HOURS PARTS
export CHAIN_CPUS CHAIN_MEMORY CHAIN_HOURS CHAIN_GRES EXTRA SETUP PYTHON
