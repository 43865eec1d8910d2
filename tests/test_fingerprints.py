"""A fingerprint depends on every part of an answer, and on nothing else."""

from __future__ import annotations

from fhir_mappings.facts import When
from tests.fhir_mappings.charts import day
from tests.fingerprints import plain


def test_the_order_in_which_a_set_is_kept_does_not_count() -> None:
    letters = [str(number) for number in range(50)]

    assert plain(frozenset(letters)) == plain(frozenset(reversed(letters)))


def test_a_part_deep_inside_counts() -> None:
    one, other = day("2026-01-20"), day("2026-01-21")

    assert plain({"doses": (one,)}) != plain({"doses": (other,)})
    assert plain(one) == plain(When(earliest=one.earliest, latest=one.latest, recorded=one.recorded))
