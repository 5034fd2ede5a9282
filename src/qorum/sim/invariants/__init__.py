"""What must hold in every run: one invariant a file, each stated as a formula, all fed by `watch.Watch`."""
