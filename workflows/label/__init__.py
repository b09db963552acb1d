# SPDX-License-Identifier: Apache-2.0
"""The MONAI Label app: correct masks in the browser, and train on them."""
