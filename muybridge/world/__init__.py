"""The synthetic world: ground truth we render ourselves, for training and for evaluation."""
