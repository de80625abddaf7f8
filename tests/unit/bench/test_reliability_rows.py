"""Which result a row of docs/reliability.md is taken from."""

from __future__ import annotations

from bench.reliability import newest_rows


def test_a_row_is_of_the_newest_result_that_measured_it():
    older = {"rows": {"kills": {"kills": 30}, "hang": {}, "wrong": 0}}
    newer = {"rows": {"kills": {"kills": 100}, "wrong": 0}}
    assert newest_rows([("1.json", older), ("2.json", newer)]) == {"kills": "2.json", "hang": "1.json"}
