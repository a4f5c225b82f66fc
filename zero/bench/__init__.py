"""Measurements of one thing at a time: rules, search, network, train-step, selfplay."""
