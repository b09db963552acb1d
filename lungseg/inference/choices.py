# SPDX-License-Identifier: Apache-2.0
"""The values of options that the command line and the API share."""

EXTENTS = ("visible", "full")
CTR_CHOICES = ("auto", "always", "never")
# The margin of a crop: a share of the lungs' width at both sides, and of their height above and below.
CROP_MARGIN = 0.05
