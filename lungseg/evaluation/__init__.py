# SPDX-License-Identifier: Apache-2.0
"""Measure weights on radiographs with references."""
