# SPDX-License-Identifier: Apache-2.0
"""The dictionary transforms that MONAI lacks."""
