"""The laboratory: tasks whose optimum is known exactly, baselines, attacks and experiments."""
