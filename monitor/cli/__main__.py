"""`python -m monitor.cli` is `sleep-monitor`."""

from monitor.cli import main

main()
