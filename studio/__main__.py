"""`python -m diorama.studio` is the `diorama` command."""

from .cli import main

main()
