"""What is done to a record that is wrong: it is deleted, gets another label, or is repaired by the user's function.

`fix` names the fixes, `functions` applies a repair function to a training set, `propose` scores every record's fix,
`believed` asks the records that stay about its label, `training` is a training set with some of its records fixed.
"""

from __future__ import annotations

from rain_debug.fixes.believed import surest_first
from rain_debug.fixes.fix import DELETE, FIXES, Fix, Fixing, check_fixing, name_of
from rain_debug.fixes.functions import Repaired, repaired
from rain_debug.fixes.propose import Proposal, propose
from rain_debug.fixes.training import Training

__all__ = [
    "DELETE",
    "FIXES",
    "Fix",
    "Fixing",
    "Proposal",
    "Repaired",
    "Training",
    "check_fixing",
    "name_of",
    "propose",
    "repaired",
    "surest_first",
]
