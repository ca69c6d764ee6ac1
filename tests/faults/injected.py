"""All faults of the campaign, in the order in which they are injected."""

from __future__ import annotations

from tests.faults import injected_deliveries, injected_files, injected_machines, injected_models, injected_values
from tests.faults.campaign import Fault

FAULTS: tuple[Fault, ...] = (
    *injected_files.FAULTS,
    *injected_values.FAULTS,
    *injected_deliveries.FAULTS,
    *injected_models.FAULTS,
    *injected_machines.FAULTS,
)
