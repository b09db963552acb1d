# SPDX-License-Identifier: Apache-2.0
"""How far to trust a result: features, networks, flags."""
