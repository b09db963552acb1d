# SPDX-License-Identifier: Apache-2.0
"""Measured claims: each script measures, keeps its numbers in `results/` and rewrites the tables of the documents."""
