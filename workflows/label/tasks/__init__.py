# SPDX-License-Identifier: Apache-2.0
"""The tasks that MONAI Label runs: inference, training, scoring, active learning."""
