# SPDX-License-Identifier: Apache-2.0
"""Lung segmentation from chest radiographs, as a MONAI bundle."""

__version__ = "0.1.0"
