"""The dashboards, as a description from which Grafana's JSON is generated: one module for each, and what they are made of."""
