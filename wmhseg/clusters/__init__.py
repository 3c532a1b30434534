"""Many machines: scripts for SLURM, commands in containers, workers of Dask."""
