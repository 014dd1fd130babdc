"""The loss curve as text."""

from plainformer.quickstart.chart import text_chart


def test_text_chart_places_both_curves():
    chart = text_chart([(1, 4.0), (10, 2.0)], [(10, 3.0)], width=10, height=5)
    lines = chart.splitlines()
    assert lines[0] == "   4.000 |.         "
    assert lines[2].endswith("o")
    assert lines[4] == "   2.000 |         ."
    assert "step 1 to 10" in lines[-1]
    assert text_chart([], []) == ""
    assert "." in text_chart([(5, 1.0)], [])
