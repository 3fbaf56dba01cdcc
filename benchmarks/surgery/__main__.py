"""`python -m benchmarks.surgery`."""

from benchmarks.surgery.public_code import main

main()
