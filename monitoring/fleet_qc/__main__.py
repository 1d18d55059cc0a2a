"""python -m fleet_qc"""

import sys

from fleet_qc.service import main

sys.exit(main())
