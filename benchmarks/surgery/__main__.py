"""`python -m benchmarks.surgery`."""

from benchmarks.surgery.public_code import main

if __name__ == "__main__":
    main()
