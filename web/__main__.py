"""`python -m web` is `vedette`."""

from web.cli import main

main()
