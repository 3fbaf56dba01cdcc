"""`python -m benchmarks.serving`."""

from benchmarks.serving.load import main

main()
