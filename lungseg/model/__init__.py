# SPDX-License-Identifier: Apache-2.0
"""The bundle as Python objects: paths, weights, configs, backends."""
