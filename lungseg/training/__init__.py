# SPDX-License-Identifier: Apache-2.0
"""Train the bundle's network."""
