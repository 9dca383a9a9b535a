"""The loss, the trainer, the record of a training, and ablations of strategies."""
