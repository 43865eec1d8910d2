"""The pure parts of the bench: figures, tables, patients, the page."""

import json

import pytest

from bench import figures
from bench.load import Load, of_wrk
from bench.measure import SIZES, Against, Growth, Options, Results, Run
from bench.pages import page
from bench.patients import PATIENTS, ROOT, intensive_care, of_size, typical, with_six_keys_to_read
from bench.replayed import Replayed, Scaling, kept, middle_of, section
from bench.slow_fhir import answer_to


def test_a_percentile_is_the_smallest_value_that_so_many_percent_do_not_exceed() -> None:
    hundred = list(range(100, 0, -1))
    assert [figures.percentile(hundred, percent) for percent in (1, 50, 99, 100)] == [1, 50, 99, 100]
    assert figures.percentile([7.5], 50) == 7.5


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], 0), ([1.0], 101)])
def test_a_percentile_of_nothing_or_beyond_all_is_refused(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError):
        figures.percentile(values, percent)


def test_figures_are_shown_with_the_digits_that_count() -> None:
    assert [figures.shown(value) for value in (0.0351, 0.62, 3.0, 9.31, 42.04, 1240.4)] == [
        "0.035",
        "0.62",
        "3.00",
        "9.31",
        "42.0",
        "1,240",
    ]


def test_a_target_is_met_at_its_limit_and_missed_beyond_by_a_factor() -> None:
    assert figures.at_most(3.0, 3.0) == figures.at_least(300, 300) == "met"
    assert figures.at_most(6.3, 3.0) == "not met: 2.10 times as much"
    assert figures.at_least(150, 300) == "not met: 0.50 of it"


def test_a_table_has_a_cell_for_each_heading() -> None:
    assert figures.table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    with pytest.raises(ValueError):
        figures.table(("a", "b"), [("1",)])


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    assert typical() == typical()
    assert typical(seed=1) != typical()


def test_the_patients_have_the_sizes_that_they_are_named_for() -> None:
    assert 190_000 < len(typical()) < 210_000
    assert 1_900_000 < len(intensive_care()) < 2_200_000
    assert 990_000 < len(of_size(1_000_000)) < 1_010_000


def test_the_patient_of_intensive_care_has_three_thousand_vital_signs_each_with_an_id_of_its_own() -> None:
    entries = json.loads(intensive_care())["prefetch"]["vitalSigns"]["entry"]
    assert len({entry["resource"]["id"] for entry in entries}) == len(entries) == 3_000


def test_six_keys_are_left_to_be_read_from_the_server() -> None:
    call = json.loads(with_six_keys_to_read("http://127.0.0.1:9/fhir"))
    assert sorted(call["prefetch"]) == ["adverseEvents", "allergies", "observations", "procedures"]
    assert call["fhirServer"] == "http://127.0.0.1:9/fhir"


def test_the_slow_server_answers_as_the_example_is_prefetched() -> None:
    assert json.loads(answer_to("/fhir/Patient/example"))["resourceType"] == "Patient"
    assert json.loads(answer_to("/fhir/Observation?patient=example&category=laboratory"))["total"] == 7
    assert json.loads(answer_to("/fhir/Observation?patient=example&category=vital-signs"))["total"] == 0


def test_what_wrk_says_in_microseconds_is_told_in_milliseconds() -> None:
    said = {"requests": 300, "duration": 2_000_000, "p50": 5_000, "p95": 8_000, "p99": 9_500, "failed": 0}
    assert of_wrk(said) == Load(calls=300, calls_per_second=150, p50=5, p95=8, p99=9.5, failed=0)


SCALING = Scaling(
    rounds=3,
    patients=100_000,
    megabytes=1_838,
    treated=500,
    orders=2_968,
    one=Replayed(processes=1, whole=81, cpu=70, reading=40, asking=43),
    two=Replayed(processes=2, whole=45, cpu=71, reading=20, asking=21.5),
    largest=1_200,
)


def test_the_page_says_of_each_target_whether_it_is_met() -> None:
    load = Load(calls=900, calls_per_second=400, p50=15, p95=20, p99=60, failed=0)
    run = Run(load=load, cpu_ms=2.5)
    against = Against(size=200_000, decoding_ms=0.4, ours=(run,), floor=(run,))
    written = page(
        Results(
            patients=dict.fromkeys(PATIENTS, against),
            sizes={size: Run(load=load, cpu_ms=size / 50_000) for size in SIZES},
            one_worker=400,
            two_workers=780,
            fallback_ms=15,
            single_read_ms=31,
            started_in_ms=1_200,
            memory=Growth(calls=5_000, before=100, after=101),
            busy_before=0.5,
            busy_after=1.5,
            cores=2,
        ),
        Options(rounds=1),
        SCALING,
    )
    assert "| 200 KB: CPU of a call | ≤ 3.00 ms | 2.50 ms | met |  |" in written
    assert "| ≤ 50.0 ms | 60.0 ms | not met: 1.20 times as much | eight calls wait for one processor |" in written
    assert "| calls/s of two workers against one | ≥ 1.80 | 1.95 | met |  |" in written
    assert written.count(" | met |") + written.count(" | not met") == 12
    assert written.endswith(section(SCALING))


def test_of_several_replays_the_median_of_each_figure_counts() -> None:
    runs = [
        Replayed(processes=2, whole=whole, cpu=70 + whole, reading=20, asking=asking)
        for whole, asking in ((50, 22), (40, 30), (45, 21))
    ]
    assert middle_of(runs) == Replayed(processes=2, whole=45, cpu=115, reading=20, asking=22)


def test_a_replay_is_told_in_patients_and_orders_a_second_and_how_it_scales() -> None:
    written = section(SCALING)
    assert "as medians of 3 runs: 100,000\nmade patients (1,838 MB of NDJSON), 500 of them treated" in written
    assert "with 2,968 orders of\nthe drug." in written
    assert "| the whole replay, s | 81.0 | 45.0 | 1.80 |" in written
    assert "| reading the export: patients/s | 2,500 | 5,000 | 2.00 |" in written
    assert "| asking about their orders: treated patients/s | 11.6 | 23.3 | 2.00 |" in written
    assert "| the same: orders/s | 69.0 | 138 | 2.00 |" in written


def test_the_page_of_performance_holds_the_replay_that_was_kept_of_a_hundred_thousand_patients() -> None:
    found = kept()
    assert (found.patients, found.treated) == (100_000, 500)
    assert section(found) in (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
