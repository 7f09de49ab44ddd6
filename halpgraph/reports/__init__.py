"""Scores -> page: tables, plots, words, comparison of runs."""
