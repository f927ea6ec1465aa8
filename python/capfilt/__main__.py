"""`python -m capfilt` is the command `capfilt`."""

from capfilt.program import main

main()
