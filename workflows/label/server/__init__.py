# SPDX-License-Identifier: Apache-2.0
"""The web server of the label app."""
