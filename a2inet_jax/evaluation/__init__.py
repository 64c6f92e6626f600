"""Agreement of predicted scores with labels: metrics, the paper's protocol, uncertainty and baselines."""
