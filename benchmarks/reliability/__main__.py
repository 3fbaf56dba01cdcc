"""The command line of `benchmarks.reliability.kills`."""

from benchmarks.reliability.kills import main

main()
