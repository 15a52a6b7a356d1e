"""What the command line and the sandbox know of one vendor's simulator."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from crm_sync_pipeline.simulators.simulator import Simulator


@dataclass(frozen=True, slots=True)
class Simulation:
    """One vendor's simulator, as it is started and reached.

    `build` makes it of a plan and faults; ValueError where one of them can't be understood. `settings_at` has the
    variables that lead to it at a base URL. `demo_settings` suit the plan that the demo runs on.
    """

    title: str
    does: str
    plans: str
    plan: str
    build: Callable[[str, Sequence[str]], Simulator]
    settings_at: Callable[[str], Mapping[str, str]]
    demo_plan: str
    demo_settings: Mapping[str, str] = field(default_factory=dict)
