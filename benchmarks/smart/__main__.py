"""`python -m benchmarks.smart`: figures of public code, then those that the defaults come from."""

from benchmarks.smart import calibration, public_code

if __name__ == "__main__":
    public_code.main()
    calibration.main()
