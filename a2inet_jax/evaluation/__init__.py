"""How well scores agree with labels: metrics, protocol, baselines, report."""
