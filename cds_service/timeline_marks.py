"""What a treatment timeline is made of: marks with their days, each with a label to draw and a sentence to read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum


class Lane(Enum):
    """The rows of the timeline, from top to bottom."""

    DOSES = "Doses"
    DUE = "Due and limit"
    TOXICITY = "Toxicity"
    HOLD = "Hold or stop"
    OBSERVATION = "Observation"
    PROTECTION = "Contraception"


class Kind(Enum):
    """What a mark is; its words stand in the legend."""

    STEP = "step dose given"
    TREATMENT = "treatment dose given"
    EXPOSURE = "given, not a completed dose"
    FROM_ORDER = "from an order or claim, not confirmed"
    PLANNED = "ordered or proposed"
    WINDOW = "days on which it may be given"
    DUE = "due"
    LIMIT = "last day before a restart"
    CRS = "CRS"
    NEUROTOXICITY = "neurotoxicity"
    OTHER_TOXICITY = "other toxicity"
    NOT_COUNTED = "not counted against the drug"
    STOP = "stop for good"
    HOLD = "withhold now"
    CHECK = "clear up before the dose"
    HELD = "was to be withheld by the rules"
    OBSERVED = "observation"
    NEAR_CARE = "caregiver, near a hospital"
    PROTECTION = "contraception, no breastfeeding"


POINTS = frozenset({Kind.STEP, Kind.TREATMENT, Kind.EXPOSURE, Kind.FROM_ORDER, Kind.PLANNED, Kind.DUE, Kind.LIMIT})
"""Kinds that are of one day; all others last from one to another."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One thing on the timeline.

    Units: `first` and `last` are calendar days in the clinic's zone, both included; None: no place on the axis, and
    only the sentence `says` tells it. Of a point they are the days that it may be of. `start_known` and `end_known`
    are False where that end is not recorded, or not to the day. `goes_on`: still so today. `begins` and `ends` are
    clock times within those days, where the mark is counted in hours. `place` is the position in the schedule, "" if
    none. `label` and `says` may hold text of the record: escape them.
    """

    lane: Lane
    kind: Kind
    label: str
    says: str
    place: str = ""
    first: date | None = None
    last: date | None = None
    start_known: bool = True
    end_known: bool = True
    goes_on: bool = False
    begins: datetime | None = None
    ends: datetime | None = None
    references: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()

    @property
    def is_placed(self) -> bool:
        return self.first is not None and self.last is not None

    @property
    def is_point(self) -> bool:
        return self.kind in POINTS

    @property
    def is_certain(self) -> bool:
        return self.start_known and self.end_known


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The course of one patient as marks, and what they leave open.

    `day_one` is the day that days of the course are counted from, as day 1: that of the latest step dose, else of the
    first dose on record; None without one, or where that day is not certain. `notes` are what could not be read or is
    in doubt. `silent` says for each lane why it has no mark, should it have none. `headline` is the course in short.
    """

    today: date
    zone: str
    drug: str
    headline: str
    day_one: date | None = None
    marks: tuple[Mark, ...] = ()
    notes: tuple[str, ...] = ()
    silent: dict[Lane, str] = field(default_factory=dict)

    def of(self, lane: Lane) -> tuple[Mark, ...]:
        return tuple(mark for mark in self.marks if mark.lane is lane)
