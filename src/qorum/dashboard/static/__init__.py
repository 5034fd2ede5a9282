"""Files of the dashboard, as browsers take them; and uPlot, under the MIT licence (vendor/uPlot.LICENSE)."""
