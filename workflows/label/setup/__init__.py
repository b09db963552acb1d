# SPDX-License-Identifier: Apache-2.0
"""Build the environment of MONAI Label, and start the server."""
