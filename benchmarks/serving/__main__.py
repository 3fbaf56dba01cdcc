"""`python -m benchmarks.serving`."""

from benchmarks.serving.load import main

if __name__ == "__main__":
    main()
