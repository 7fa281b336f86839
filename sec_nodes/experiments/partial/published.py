"""What Liu et al., Sensors 2026, 26(11), 3540, states in numbers.

The figures are not at hand, so these are all there are.
"""

from __future__ import annotations

PAPER = 'Liu et al., *Sensors* 2026, 26(11), 3540'
TOTAL_J = 2.23e4
"""Fig. 6: "total energy consumption" of partial offloading."""
LEAST_S, MOST_S = 3.0, 5.0
"""Section 4.4: wall-clock time of Algorithm 1."""
FEWEST, MOST = 30, 50
"""Section 4.4: iterations of Algorithm 1."""
