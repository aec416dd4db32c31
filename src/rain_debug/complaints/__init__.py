"""A place in an answer + what is wrong with it → a term of q, the scalar that fixing the training data should lower.

A `Cell` or a `Row` names the place, its methods make `Complaint`s. Once the first answer is known, a complaint becomes
a `Goal`: bounds in numbers, a tolerance and a scale. A goal turns each round's exact and relaxed reading into a `Term`:

    q(θ) = Σ_j |relaxed_j(θ) − target_j| / scale_j          (loss "l1";  "squared": the square of each summand)

judge "exact" (the default) counts a complaint only while the exact answer violates it, and shifts its target by
relaxed − exact, so that |exact − target| is what is lowered and the two readings cannot disagree about the direction.
judge "relaxed" is the papers' protocol: the residual is that of the relaxed answer.

| complaint                     | target                | resolved when, in the exact answer           |
|-------------------------------|-----------------------|----------------------------------------------|
| should_be(v)                  | v                     | within `tolerance`                           |
| at_least(v), at_most(v)       | v, while violated     | it holds, up to rounding (1e-9 of v)         |
| too_low(by=d), too_high(by=d) | first exact value ± d | moved by d                                   |
| too_low(), too_high()         | none: q is linear     | never; the report says how far it moved      |
| should_exist()                | probability 1         | the row is there                             |
| should_not_exist()            | probability 0         | the row is not there                         |
| should_be(class)              | probability 1         | that class is predicted                      |
| is_right()                    | first exact value     | within `tolerance` of it, or still (not) there |

What is right counts only when a fix breaks it. `tolerance` is by default 0.5 % of abs(v), and at least 0.5 where the
column holds whole numbers by its type. A cell that is NULL, or whose row is absent, violates every complaint about its
value; its relaxed value stands in for it.
"""

from __future__ import annotations

from rain_debug.complaints.goal import IDLE, Goal, Judge, Loss, Scale, Term
from rain_debug.complaints.goals import goals, refuse_met
from rain_debug.complaints.place import Cell, Complaint, Row, Says
from rain_debug.complaints.words import number_text, value_text

__all__ = [
    "IDLE",
    "Cell",
    "Complaint",
    "Goal",
    "Judge",
    "Loss",
    "Row",
    "Says",
    "Scale",
    "Term",
    "goals",
    "number_text",
    "refuse_met",
    "value_text",
]
