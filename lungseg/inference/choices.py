# SPDX-License-Identifier: Apache-2.0
"""The values of options that the command line and the API share."""

EXTENTS = ("visible", "full")
CTR_CHOICES = ("auto", "always", "never")
