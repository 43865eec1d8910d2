"""What a replay had to assume, because the record does not say how it stood on the day of an order."""

from __future__ import annotations

from enum import StrEnum


class Assumption(StrEnum):
    """Each is counted for each order, by the resources it was made for. The words are those of the report."""

    ORDER_DAY_ONLY = "order-day-only"
    SIGNED_TOGETHER = "signed-together"
    ORDER_AS_EXPORTED = "order-as-exported"
    EVENT_DATE_USED = "event-date-used"
    UNDATED_KEPT = "undated-kept"
    SAME_DAY_KEPT = "same-day-kept"
    SAME_DAY_DOSE_LEFT_OUT = "same-day-dose-left-out"
    CLOSED_UNDATED = "closed-undated"
    END_DAY_UNCLEAR = "end-day-unclear"
    WITHDRAWN_UNDATED = "withdrawn-undated"
    ORDER_STATUS_AS_EXPORTED = "order-status-as-exported"
    LATER_VERSION_USED = "later-version-used"
    CORRECTED_LEFT_OUT = "corrected-left-out"

    @property
    def says(self) -> str:
        """The assumption as a sentence for the report."""
        return _SAYS[self]


_SAYS = {
    Assumption.ORDER_DAY_ONLY: "the order has a day without a time: it was taken as signed at the end of that day",
    Assumption.SIGNED_TOGETHER: "an order of the same minute, or day where no time is stated: taken as signed with it",
    Assumption.ORDER_AS_EXPORTED: "the order's content is that of the export: whether it was changed later is not said",
    Assumption.EVENT_DATE_USED: "no date of recording: taken as known since it happened",
    Assumption.UNDATED_KEPT: "no readable date at all: taken as known at the time of the order",
    Assumption.SAME_DAY_KEPT: "dated to the day (or month) of the order without a time: taken as known",
    Assumption.SAME_DAY_DOSE_LEFT_OUT: "a dose dated to the day of the order without a time: taken as given after it",
    Assumption.CLOSED_UNDATED: "closed, and nobody says since when: taken as closed already",
    Assumption.END_DAY_UNCLEAR: "ended on the day (or in the month) of the order: taken as ended",
    Assumption.WITHDRAWN_UNDATED: "refuted, not done or entered in error, nobody says since when: taken as so already",
    Assumption.ORDER_STATUS_AS_EXPORTED: "an earlier order that has ended, nobody says since when: taken as ended",
    Assumption.LATER_VERSION_USED: "only versions of after the order were exported: the oldest of them was taken",
    Assumption.CORRECTED_LEFT_OUT: "a result corrected after the order: left out, though an older one was known",
}
