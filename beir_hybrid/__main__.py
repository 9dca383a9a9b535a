"""``python -m beir_hybrid`` is the command line too."""

from beir_hybrid.cli import main

main()
