"""`python -m benchmarks.growth`."""

from benchmarks.growth.scaling import main

if __name__ == "__main__":
    main()
