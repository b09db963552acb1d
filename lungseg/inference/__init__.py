# SPDX-License-Identifier: Apache-2.0
"""Radiographs in, results out."""
