"""From epochs to stages: a backend that runs the network, a stager that keeps its context."""
