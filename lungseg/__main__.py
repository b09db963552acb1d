# SPDX-License-Identifier: Apache-2.0
"""`python -m lungseg`."""

import sys

from lungseg.cli import main

sys.exit(main())
