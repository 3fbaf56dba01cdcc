"""`python -m benchmarks.growth`."""

from benchmarks.growth.scaling import main

main()
