"""What ``dagster.yaml`` names: parts of the Dagster instance, not of the asset graph."""
