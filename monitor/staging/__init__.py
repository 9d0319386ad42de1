"""From epochs to stages: a backend runs the network, a stager keeps the context of the night."""
