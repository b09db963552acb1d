# SPDX-License-Identifier: Apache-2.0
"""The MONAI Label app: annotators draw, the model learns from them."""
