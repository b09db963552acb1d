# SPDX-License-Identifier: Apache-2.0
"""`python -m lungseg`."""

import sys

from lungseg.cli.main import main

sys.exit(main())
