"""`python -m fitstream`."""

from fitstream.cli import main

main()
