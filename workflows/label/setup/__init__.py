# SPDX-License-Identifier: Apache-2.0
"""Build MONAI Label's environment, check the set-up, start the server."""
