# SPDX-License-Identifier: Apache-2.0
"""How each file in `bundle/models` was made: a command each."""
