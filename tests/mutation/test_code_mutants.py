"""What `dev.py mutate` does to the copy it breaks, and which mutants and tests it takes."""

from __future__ import annotations

from tests.mutation import code

DECORATED = """
from functools import cached_property, lru_cache

class Case:
    @property
    def doses(self) -> int:
        \"\"\"Two.\"\"\"
        return 2

    @cached_property
    def weeks(self) -> int:
        return self.doses * 2

@lru_cache(maxsize=8)
def joined(first: str, *others: str, by: str = "-") -> str:
    return by.join((first, *others))
"""


def test_decorated_functions_hand_on_to_twins_that_can_be_broken() -> None:
    scope: dict[str, object] = {}

    exec(code.with_undecorated_twins(DECORATED), scope)
    case, joined = scope["Case"](), scope["joined"]  # type: ignore[operator]

    assert (case.doses, case.weeks) == (2, 4)
    assert joined("a", "b", "c", by="+") == "a+b+c"  # type: ignore[operator]
    assert case.undecorated_weeks() == 4
    assert not hasattr(scope["undecorated_joined"], "cache_clear")


def test_without_names_the_same_sample_is_taken_each_time() -> None:
    mutants = [f"cds_service.engine.gaps.x_f__mutmut_{number}" for number in range(5_000)]

    assert len(code.chosen_of(mutants, [])) == code.SAMPLE
    assert code.chosen_of(mutants, []) == code.chosen_of(mutants, [])
    assert code.chosen_of(mutants, ["all"]) == mutants
    assert code.chosen_of(mutants, ["*_4999", "nothing*"]) == mutants[-1:]


def test_a_first_round_has_the_narrowest_tests_and_some_of_all_whole_calls() -> None:
    narrow = [f"tests/engine/test_{number}" for number in range(code.FEW)]
    calls = [f"tests/vignettes/test_pages.py::test[{number}]" for number in range(1_000)]

    few = code.few_of([*narrow, *calls, "tests/engine/test_broad"])

    assert few[: code.FEW] == narrow
    assert code.FEW < len(few) <= 3 * code.FEW
    assert few[-1] in calls[990:]
    assert code.few_of(narrow[:50]) == narrow[:50]
