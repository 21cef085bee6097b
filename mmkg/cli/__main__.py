"""``python -m mmkg.cli`` is the command ``mmkg``."""

from mmkg.cli import main

main()
