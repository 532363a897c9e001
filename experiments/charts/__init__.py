"""Charts of a report, as SVG text that needs no script, no style sheet and no network."""

from experiments.charts.arrivals import arrivals_chart
from experiments.charts.calendar import Bar, calendar_chart
from experiments.charts.forest import ForestRow, forest_plot
from experiments.charts.histogram import histogram
from experiments.charts.rates import RateRow, rates_chart
from experiments.charts.table import Chart
from experiments.charts.timeline import TimePoint, lift_timeline

__all__ = [
    "Bar",
    "Chart",
    "ForestRow",
    "RateRow",
    "TimePoint",
    "arrivals_chart",
    "calendar_chart",
    "forest_plot",
    "histogram",
    "lift_timeline",
    "rates_chart",
]
