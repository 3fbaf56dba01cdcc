"""`python -m benchmarks.smart`: what public code computes, then where the defaults come from."""

from benchmarks.smart import calibration, public_code

public_code.main()
calibration.main()
