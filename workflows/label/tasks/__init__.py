# SPDX-License-Identifier: Apache-2.0
"""What MONAI Label runs: inference, training, scoring, active learning."""
