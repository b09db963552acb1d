# SPDX-License-Identifier: Apache-2.0
"""Annotations that are not mask pictures: run lengths in a CSV file, COCO and LabelMe."""
