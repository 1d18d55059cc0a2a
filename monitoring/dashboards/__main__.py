"""Writes the dashboards into monitoring/grafana/dashboards."""

from pathlib import Path

from dashboards import ALL, text

for _name in ALL:
    _path = Path(__file__).parent.parent / "grafana" / "dashboards" / _name
    _path.write_text(text(_name), encoding="utf-8")
