"""What the benchmarks share: timing, machine facts, workload, peers, records, targets."""
