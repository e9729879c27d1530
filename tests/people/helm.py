"""Judges a chart and renders it by Helm's own code, as a library (package helm-python-sdk): helm.py CHART VALUES KUBERNETES

A process of its own, since the library brings all of Go's runtime with it.
"""

import pathlib
import sys

import helm_python as helm

chart, values, kubernetes = sys.argv[1:]
values = helm.values_from_yaml(pathlib.Path(values).read_text())
if errors := helm.lint(chart, values, strict=True, kube_version=kubernetes)["errors"]:
    sys.exit("\n".join(errors))
with helm.Chart.load(chart) as loaded:
    print("\n---\n".join(loaded.render(values, name="prod").values()))
