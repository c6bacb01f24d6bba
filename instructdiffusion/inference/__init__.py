"""Answering: a question prepared, put through a model in batches, and what came of it."""
