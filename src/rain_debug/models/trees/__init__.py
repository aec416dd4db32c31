"""Ensembles of decision trees: the real model answers, a linear surrogate on its leaves ranks."""
